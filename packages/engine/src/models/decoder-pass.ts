import type { StockOps } from '../ops/stock-ops.js';
import type { Handle } from '../runtime/handle.js';
import type { RowPlan } from './causal-lm.js';
import type { DecoderShape, DecoderTensors } from './decoder-inputs.js';
import { embedTokens, headOf } from './embedding.js';
import { type LayerActivations, layerAgain, layerForward, layerWeights } from './layer.js';
import { type LayerRows, layerBackward } from './layer-backward.js';
import type { LayerPositions, RopeTables } from './rope-tables.js';
import { type UpdateDropout, UpdatePath } from './update-path.js';
import type { ModelWeights } from './weights.js';

/** [M] losses in nats and [M] most likely ids, in the order of the labelled rows. */
export interface Entropy {
  readonly loss: Handle;
  readonly predicted: Handle;
}

/**
 * The arithmetic of a decoder, from inputs on the device to results on the device: it reads no tensor's values, so that a graph can record it.
 * Everything is in the caller's scope.
 */
export class DecoderPass {
  constructor(
    private readonly ops: StockOps,
    private readonly weights: ModelWeights,
    private readonly rope: RopeTables,
    private readonly memory: 'fast' | 'low',
  ) {}

  positions({ length, longest }: DecoderShape, { positions, starts }: Pick<DecoderTensors, 'positions' | 'starts'>): LayerPositions {
    return positions && starts ? this.rope.packed(positions, starts, longest) : this.rope.positions(0, length, longest);
  }

  loss(shape: DecoderShape, tensors: DecoderTensors, weights = this.weights): Entropy {
    const { ops } = this;
    const { norm_eps, logit_softcap } = weights.config;
    const x = this.forward(tensors.ids, shape, this.positions(shape, tensors), () => undefined, weights);
    const hidden = ops.rmsNorm(ops.gatherRows(x, tensors.rows), this.weights.get('final_norm'), norm_eps);
    const { loss, predicted } = ops.crossEntropyForward(hidden, headOf(this.weights), tensors.labels, logit_softcap);
    return { loss, predicted };
  }

  /** take: hears each gradient, which is freed when its layer is done unless `keep` of that call is called on it. */
  gradients(
    shape: DecoderShape,
    tensors: DecoderTensors,
    plan: RowPlan,
    take: (key: string, gradient: Handle, keep: (handle: Handle) => Handle) => unknown,
    dropout?: UpdateDropout,
  ): Entropy {
    const { ops, weights, memory } = this;
    const { runtime } = ops;
    const { config } = weights;
    const { size, length } = shape;
    const lowest = Math.min(config.n_layers, ...plan.modules.map(({ layer }) => layer));
    const saved = new Map<number, LayerActivations | Handle>();
    const at = this.positions(shape, tensors);
    const pathOf = (layer: number) => (dropout ? new UpdatePath(runtime, ops, rowsOfLayer(plan, layer), dropout) : undefined);
    const keepOf = (layer: number, activations: LayerActivations) => {
      if (layer < lowest) return undefined;
      saved.set(layer, memory === 'fast' ? activations : activations.x);
      return memory === 'fast' ? Object.values(activations) : [activations.x];
    };
    const x = this.forward(tensors.ids, shape, at, keepOf, weights, pathOf);
    const rows = ops.gatherRows(x, tensors.rows);
    const finalNorm = weights.get('final_norm');
    const hidden = ops.rmsNorm(rows, finalNorm, config.norm_eps);
    const { loss, predicted, dHidden } = ops.crossEntropy(hidden, headOf(weights), tensors.labels, config.logit_softcap);
    const dRows = ops.rmsNormBackward(ops.multiply(dHidden, tensors.scale), rows, finalNorm, config.norm_eps).dx;
    let dy = ops.scatterRows(dRows, tensors.rows, size * length);
    runtime.release(x);
    for (let layer = config.n_layers - 1; layer >= lowest; layer--) {
      const kept = saved.get(layer) as LayerActivations | Handle;
      const above = dy;
      const dx = runtime.scope((keepLayer) =>
        // What is computed again is so to save memory: not before it is needed.
        runtime.after(above, () => {
          const w = layerWeights(weights, layer);
          const path = pathOf(layer);
          const context = { runtime, ops, config, batch: size, length, at: at(layer), path };
          const again = (x: Handle) =>
            runtime.scope((keep) => {
              const made = layerAgain(ops, w, config, x, size, length, context.at, path);
              for (const handle of Object.values(made)) if (handle !== x) keep(handle);
              return made;
            });
          const activations = 'id' in kept ? again(kept) : kept;
          const result = layerBackward(context, w, activations, above, rowsOfLayer(plan, layer), layer > lowest);
          for (const [key, gradient] of result.gradients) take(key, gradient, keepLayer);
          return result.dx && keepLayer(result.dx);
        }),
      );
      runtime.release(above, ...('id' in kept ? [kept] : Object.values(kept as LayerActivations)));
      if (dx) dy = dx;
    }
    return { loss, predicted };
  }

  /** [N, C] before the final norm. keepOf: handles of a layer that must outlive it. */
  forward(
    ids: Handle,
    { size, length }: Pick<DecoderShape, 'size' | 'length'>,
    at: LayerPositions,
    keepOf: (layer: number, activations: LayerActivations) => readonly Handle[] | undefined,
    weights = this.weights,
    pathOf: (layer: number) => UpdatePath | undefined = () => undefined,
  ): Handle {
    const { ops } = this;
    const { runtime } = ops;
    const { config } = weights;
    let x = embedTokens(ops, this.weights, ids);
    for (let layer = 0; layer < config.n_layers; layer++) {
      const next = runtime.scope((keep) => {
        const { y, saved } = layerForward(ops, layerWeights(weights, layer), config, x, size, length, at(layer), pathOf(layer));
        const kept = keepOf(layer, saved);
        for (const handle of kept ?? []) if (handle !== x) keep(handle);
        return { y: keep(y), inputKept: kept?.includes(x) ?? false };
      });
      if (!next.inputKept) runtime.release(x);
      x = next.y;
    }
    return x;
  }
}

function rowsOfLayer(plan: RowPlan, layer: number): LayerRows {
  return new Map(plan.modules.filter((module) => module.layer === layer).map((module) => [module.target, module]));
}
