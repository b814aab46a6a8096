import type { Ops } from '../ops/ops.js';
import type { Handle } from '../runtime/handle.js';
import { philox } from '../runtime/philox.js';
import type { Runtime } from '../runtime/runtime.js';
import type { RowModule } from './causal-lm.js';
import { type TrainedPart, weightPartsOf } from './parts.js';

/** Dropout on the input of the trained rows and columns. */
export interface UpdateDropout {
  /** p in (0, 1): share of the inputs that the update does not see; the others count 1/(1 - p) times. */
  readonly rate: number;
  readonly seed: number;
  /** Masks depend on seed, module and this alone: optimiser steps done, and the micro-step within the step. */
  readonly step: number;
  readonly micro: number;
  /** D [r, in] or E^T [c, out] of a trained part, in the caller's scope. */
  readonly update: (part: TrainedPart) => Handle;
  /** What `dropoutKey` gives, on the device, where a graph must not hold it; absent: computed. [2] i32 */
  readonly keyOf?: (module: string) => Handle;
}

/** Two u32: the key of a module's mask. */
export function dropoutKey({ seed, step, micro }: Pick<UpdateDropout, 'seed' | 'step' | 'micro'>, module: string): [number, number] {
  const words = philox(seed, `dropout ${micro} ${module}`, step);
  return [words.u32(), words.u32()];
}

/**
 * Y = X W^T + (drop(X) D^T) M for the trained parts of one layer (Li & Bhaskara, arXiv 2502.11439, the un-merged form). The weights hold W + D, so
 * what is computed is the difference: Y = X (W + D)^T + ((drop(X) - X) D^T) M, likewise for columns E. Masks are drawn again where they are needed,
 * never kept. Everything is in the caller's scope.
 */
export class UpdatePath {
  constructor(
    private readonly runtime: Runtime,
    private readonly ops: Ops,
    private readonly modules: ReadonlyMap<RowModule['target'], RowModule>,
    private readonly dropout: UpdateDropout,
  ) {}

  /** y [N, out], what the merged weights make of x [N, in], with what dropout changes. */
  forward(target: RowModule['target'], x: Handle, y: Handle): Handle {
    const module = this.modules.get(target);
    if (!module) return y;
    const { ops } = this;
    return this.runtime.scope((keep) => {
      const change = ops.multiply(x, this.#relativeMask(module, x.shape)); // drop(x) - x
      const parts = weightPartsOf(module).map((part) => {
        const update = this.dropout.update(part);
        if (part.axis === 'columns') return ops.linearBackward(ops.gatherColumns(change, this.#ids(part)), update);
        return ops.linear(ops.linear(change, update), this.#oneHot(part, module.outFeatures));
      });
      return keep(ops.addAll([y, ...parts]));
    });
  }

  /** drop(x): what the gradients of the parts see. */
  dropped(module: RowModule, x: Handle): Handle {
    const { ops } = this;
    return this.runtime.scope((keep) => keep(ops.add(x, ops.multiply(x, this.#relativeMask(module, x.shape)))));
  }

  /** dx [N, in], g W of the merged weights, with what dropout changes. g: [N, out] of the module. */
  backward(target: RowModule['target'], g: () => Handle, dx: Handle): Handle {
    const module = this.modules.get(target);
    if (!module) return dx;
    const { ops } = this;
    return this.runtime.scope((keep) => {
      const output = g();
      const parts = weightPartsOf(module).map((part) => {
        const update = this.dropout.update(part);
        if (part.axis === 'rows') return ops.linearBackward(ops.gatherColumns(output, this.#ids(part)), update);
        return ops.linear(ops.linear(output, update), this.#oneHot(part, module.inFeatures));
      });
      return keep(ops.add(dx, ops.multiply(ops.addAll(parts), this.#relativeMask(module, dx.shape))));
    });
  }

  /** mask / (1 - p) - 1, [N, in]: one mask a module, the same in both passes. */
  #relativeMask({ name }: RowModule, shape: readonly number[]): Handle {
    const { rate, keyOf } = this.dropout;
    const mask = this.ops.dropoutMask(shape, rate, keyOf ? keyOf(name) : dropoutKey(this.dropout, name));
    return this.ops.subtract(mask, this.runtime.literal(1));
  }

  /** [count, ids]: row ids[i] holds a 1 in column i. */
  #oneHot({ ids }: TrainedPart, count: number): Handle {
    const matrix = new Float32Array(count * ids.length);
    ids.forEach((id, i) => {
      matrix[id * ids.length + i] = 1;
    });
    return this.runtime.upload(matrix, [count, ids.length], 'f32');
  }

  #ids({ ids }: TrainedPart): Handle {
    return this.runtime.upload(ids, [ids.length], 'i32', true);
  }
}
