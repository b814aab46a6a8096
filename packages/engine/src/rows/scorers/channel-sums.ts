import type { StockOps } from '../../ops/stock-ops.js';
import type { Handle } from '../../runtime/handle.js';
import type { ChannelScores } from '../score-matrix.js';

/** Sums of a matrix of entry scores [out, in] over each row and over each column. Waits for the device; holds no handle afterwards. */
export function channelSums(ops: StockOps, entries: Handle): ChannelScores {
  const { runtime } = ops;
  return runtime.scope(() => ({
    out: runtime.readF32(ops.sumColumns(entries)).slice(),
    in: runtime.readF32(ops.sumRows(entries)).slice(),
  }));
}

/** Sums over many batches, in f64: [out] and [in] of one linear. */
export class ChannelTotals {
  readonly #out: Float64Array;
  readonly #in: Float64Array;

  constructor({ outFeatures, inFeatures }: { readonly outFeatures: number; readonly inFeatures: number }) {
    this.#out = new Float64Array(outFeatures);
    this.#in = new Float64Array(inFeatures);
  }

  add(scores: ChannelScores): void {
    scores.out.forEach((score, i) => {
      this.#out[i] = (this.#out[i] as number) + score;
    });
    scores.in.forEach((score, j) => {
      this.#in[j] = (this.#in[j] as number) + score;
    });
  }

  /** f of every total, rounded to f32. */
  map(f: (total: number) => number): ChannelScores {
    return { out: Float32Array.from(this.#out, f), in: Float32Array.from(this.#in, f) };
  }
}
