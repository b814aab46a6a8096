import type { StockOps } from '../ops/stock-ops.js';
import type { StoredMatrix, Weight } from '../ops/weight.js';
import type { Handle } from '../runtime/handle.js';
import type { LinearInfo } from './causal-lm.js';
import type { ModelTensors } from './weights.js';

/** What is added to a linear for one product, [out, in], new; undefined: nothing. */
export type Shift = (linear: LinearInfo) => Handle | undefined;

/**
 * The same weights with `shift` added to each linear while a product reads it: nothing is written, one matrix is held at a time. Belongs to
 * `weights`, which stays the caller's to dispose.
 */
export function shiftedWeights<W extends ModelTensors>(ops: StockOps, weights: W, linears: readonly LinearInfo[], shift: Shift): W {
  return {
    ...weights,
    matrix(name) {
      const parts = linears.filter(({ tensor }) => tensor === name);
      const base = weights.matrix(name);
      return parts.length === 0 ? base : shifted(ops, base, parts, shift, 0, base.shape[0] ?? 0);
    },
    dispose: () => undefined,
  };
}

function shifted(ops: StockOps, base: Weight, parts: readonly LinearInfo[], shift: Shift, first: number, count: number): StoredMatrix {
  return {
    shape: [count, ...base.shape.slice(1)],
    rows: (start, rows) => shifted(ops, base, parts, shift, first + start, rows),
    materialise: () =>
      ops.runtime.scope((keep) => {
        const part = ops.sliceRows(base, first, count);
        const whole = 'id' in part ? part : part.materialise();
        const pieces = parts.flatMap((linear) => {
          const from = Math.max(first, linear.rowOffset);
          const to = Math.min(first + count, linear.rowOffset + linear.outFeatures);
          if (from >= to) return [];
          const own = ops.sliceRows(whole, from - first, to - from);
          const added = shift(linear);
          return [added ? ops.add(own, ops.sliceRows(added, from - linear.rowOffset, to - from)) : own];
        });
        return keep(pieces.length === 1 && pieces[0] ? pieces[0] : ops.concatRows(pieces));
      }),
  };
}
