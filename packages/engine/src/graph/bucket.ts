import type { DecoderInputs } from '../models/decoder-inputs.js';

/** Sizes that graphs are made for: `steps` of them from one power of two to the next, at least 16. The least that is not below n. */
export function bucketOf(n: number, steps: 2 | 4): number {
  if (n <= 16) return 16;
  const step = 2 ** Math.floor(Math.log2(n - 1)) / steps;
  return Math.ceil(n / step) * step;
}

/**
 * The same micro-step in the sizes of a bucket. Sequences get more padding on the right, packed ones are followed by sequences of one token each; rows that
 * are added to the labelled ones have a gradient of zero, and their losses are those after the real ones. rotateAlike: whether two lengths are rotated by the
 * same angles; maxLength: of an unpacked sequence.
 */
export function bucketed(inputs: DecoderInputs, maxLength: number, rotateAlike: (length: number, other: number) => boolean): DecoderInputs {
  const { size, length, longest, packed } = inputs;
  const wanted = packed ? bucketOf(length, 4) : Math.min(bucketOf(length, 4), maxLength);
  const padded = packed || rotateAlike(length, wanted) ? wanted : length;
  const tokens = size * padded;
  const labelled = Math.max(inputs.rows.length, Math.min(bucketOf(inputs.rows.length, 2), tokens));
  const spread = (values: Int32Array): Int32Array => {
    const wide = new Int32Array(tokens);
    for (let b = 0; b < size; b++) wide.set(values.subarray(b * length, (b + 1) * length), b * padded);
    return wide;
  };
  const place = (row: number) => Math.floor(row / length) * padded + (row % length);
  const longer = (values: Int32Array): Int32Array => {
    const all = new Int32Array(labelled);
    all.set(values);
    return all;
  };
  const scale = new Float32Array(labelled);
  scale.fill(inputs.scale[0] ?? 0, 0, inputs.rows.length);
  return {
    ...{ size, length: padded, longest, scale },
    ids: spread(inputs.ids),
    rows: longer(inputs.rows.map(place)),
    labels: longer(inputs.labels),
    ...(packed && {
      packed: {
        positions: spread(packed.positions),
        starts: Int32Array.from({ length: tokens }, (_, i) => packed.starts[i] ?? i),
      },
    }),
  };
}
