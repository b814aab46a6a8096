/** What one micro-step of a decoder is given, on the host and on the device. */
import type { DecoderConfig } from '@rowsmith/contracts';
import type { Handle } from '../runtime/handle.js';
import type { Runtime } from '../runtime/runtime.js';
import type { LabelledRows } from './batch.js';
import type { Batch } from './causal-lm.js';
import { segmentsOf } from './segments.js';

export interface DecoderShape {
  /** B and T of the batch; packed: 1 and all tokens. */
  readonly size: number;
  readonly length: number;
  /** Tokens of the longest sequence: decides the rotation. */
  readonly longest: number;
}

export interface DecoderInputs extends DecoderShape {
  /** [N] */
  readonly ids: Int32Array;
  /** [M] rows of [N, C] that predict a label, and the labels. */
  readonly rows: Int32Array;
  readonly labels: Int32Array;
  /** One factor of the gradient for all labelled rows, or one for each: [M, 1]. */
  readonly scale: Float32Array;
  /** Packed: [N] position of each token in its sequence, and where that begins. */
  readonly packed?: { readonly positions: Int32Array; readonly starts: Int32Array };
}

export interface DecoderTensors {
  readonly ids: Handle;
  readonly rows: Handle;
  readonly labels: Handle;
  readonly scale: Handle;
  readonly positions?: Handle;
  readonly starts?: Handle;
}

export function decoderInputs(batch: Batch, { rows, labels }: LabelledRows, scale: number, config: DecoderConfig): DecoderInputs {
  const { size, length, ids } = batch;
  const segments = segmentsOf(batch, config);
  const { longest, ...packed } = segments ?? { longest: length };
  return { size, length, longest, ids, rows, labels, scale: Float32Array.of(scale), ...('starts' in packed && { packed }) };
}

/** The arrays stay the caller's and may be written again: copied. In the caller's scope. */
export function uploadInputs(runtime: Runtime, { ids, rows, labels, scale, packed }: DecoderInputs): DecoderTensors {
  const i32 = (values: Int32Array) => runtime.upload(values, [values.length], 'i32', true);
  return {
    ids: i32(ids),
    rows: i32(rows),
    labels: i32(labels),
    scale: runtime.upload(scale, scale.length === 1 ? [] : [scale.length, 1], 'f32', true),
    ...(packed && { positions: i32(packed.positions), starts: i32(packed.starts) }),
  };
}
