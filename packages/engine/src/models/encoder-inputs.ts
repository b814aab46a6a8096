/** What one micro-step of a classifier is given, on the host and on the device. */
import type { Handle } from '../runtime/handle.js';
import type { Runtime } from '../runtime/runtime.js';
import type { Batch, Sequences } from './causal-lm.js';

export interface EncoderShape {
  readonly size: number;
  readonly length: number;
}

export interface EncoderInputs extends EncoderShape {
  /** [B*T] */
  readonly ids: Int32Array;
  readonly types: Int32Array;
  /** [B] */
  readonly counts: Int32Array;
  readonly classes: Int32Array;
  /** One factor of the gradient for all sequences. */
  readonly scale: number;
}

export interface EncoderTensors {
  readonly ids: Handle;
  readonly types: Handle;
  /** [B*T] position of each token in its sequence. */
  readonly positions: Handle;
  readonly counts: Handle;
  readonly classes: Handle;
  /** [B] place of each sequence's first token. */
  readonly first: Handle;
  readonly scale: Handle;
}

export const encoderInputs = ({ size, length, ids }: Batch, { types, counts, classes }: Sequences, scale: number): EncoderInputs => ({
  ...{ size, length, ids, types, counts, classes, scale },
});

/** The arrays stay the caller's and may be written again: copied. In the caller's scope. */
export function uploadEncoderInputs(runtime: Runtime, inputs: EncoderInputs): EncoderTensors {
  const { size, length, ids, types, counts, classes, scale } = inputs;
  const i32 = (values: Int32Array) => runtime.upload(values, [values.length], 'i32', true);
  return {
    ids: i32(ids),
    types: i32(types),
    positions: i32(ids.map((_, i) => i % length)),
    counts: i32(counts),
    classes: i32(classes),
    first: i32(Int32Array.from({ length: size }, (_, row) => row * length)),
    scale: runtime.upload(Float32Array.of(scale), [], 'f32'),
  };
}

/** With `length` tokens a sequence: more padding on the right, which nothing sees. */
export function padEncoderInputs(inputs: EncoderInputs, length: number): EncoderInputs {
  const spread = (values: Int32Array): Int32Array => {
    const wide = new Int32Array(inputs.size * length);
    for (let b = 0; b < inputs.size; b++) wide.set(values.subarray(b * inputs.length, (b + 1) * inputs.length), b * length);
    return wide;
  };
  return { ...inputs, length, ids: spread(inputs.ids), types: spread(inputs.types) };
}
