/** A packed batch: sequences one after the other in one row, without padding. Pure. */
import type { DecoderConfig } from '@rowsmith/contracts';
import { EngineError } from '../errors.js';
import type { Batch } from './causal-lm.js';
import { checkLength } from './check-length.js';

export interface Segments {
  /** [N] position of each token in its own sequence. */
  readonly positions: Int32Array;
  /** [N] place in the row of the first token of its sequence: what is before it is not seen. */
  readonly starts: Int32Array;
  /** Tokens of the longest sequence. */
  readonly longest: number;
}

/** undefined: the batch is not packed. Throws EngineError `invalid_batch`; the model's limit holds for each sequence. */
export function segmentsOf({ size, length, lengths }: Batch, config: DecoderConfig): Segments | undefined {
  if (!lengths) return undefined;
  if (size !== 1) throw new EngineError('user', 'invalid_batch', `packed sequences in ${size} rows; they must be in one`);
  const positions = new Int32Array(length);
  const starts = new Int32Array(length);
  let start = 0;
  for (const count of lengths) {
    if (!Number.isInteger(count)) throw new EngineError('user', 'invalid_batch', `a sequence of ${count} tokens`);
    checkLength(count, config);
    for (let t = 0; t < count && start + t < length; t++) {
      positions[start + t] = t;
      starts[start + t] = start;
    }
    start += count;
  }
  if (start !== length) throw new EngineError('user', 'invalid_batch', `sequences of ${start} tokens in a row of ${length}`);
  return { positions, starts, longest: Math.max(...lengths) };
}

/** Whether the token at place i of the batch begins a sequence: nothing predicts it. */
export function beginsSequence({ length }: Batch, segments: Segments | undefined, i: number): boolean {
  return segments ? segments.positions[i] === 0 : i % length === 0;
}
