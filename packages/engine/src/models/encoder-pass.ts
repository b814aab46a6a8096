import type { EncoderConfig } from '@rowsmith/contracts';
import type { StockOps } from '../ops/stock-ops.js';
import type { Handle } from '../runtime/handle.js';
import type { RowPlan } from './causal-lm.js';
import { headBackward, headForward } from './encoder-head.js';
import type { EncoderShape, EncoderTensors } from './encoder-inputs.js';
import { type EncoderActivations, type EncoderContext, encoderLayerForward, encoderLayerWeights } from './encoder-layer.js';
import { encoderLayerBackward } from './encoder-layer-backward.js';
import { type UpdateDropout, UpdatePath } from './update-path.js';
import type { ModelTensors } from './weights.js';

/** [B] losses in nats and [B] most likely classes. */
export interface ClassEntropy {
  readonly loss: Handle;
  readonly predicted: Handle;
}

/** The arithmetic of a classifier, from inputs on the device to results on the device; see DecoderPass. Everything is in the caller's scope. */
export class EncoderPass {
  constructor(
    private readonly ops: StockOps,
    private readonly weights: ModelTensors,
    private readonly config: EncoderConfig,
    private readonly memory: 'fast' | 'low',
  ) {}

  /** [B, classes] */
  logits(shape: EncoderShape, tensors: EncoderTensors): Handle {
    return headForward(this.ops, this.weights, this.forward(shape, tensors), tensors.first).logits;
  }

  loss(shape: EncoderShape, tensors: EncoderTensors, weights = this.weights): ClassEntropy {
    const { logits } = headForward(this.ops, weights, this.forward(shape, tensors, weights), tensors.first);
    const { loss, predicted } = this.ops.classEntropy(logits, tensors.classes);
    return { loss, predicted };
  }

  /** take: hears each gradient, which is freed when its layer is done unless `keep` of that call is called on it. */
  gradients(
    shape: EncoderShape,
    tensors: EncoderTensors,
    plan: RowPlan,
    take: (key: string, gradient: Handle, keep: (handle: Handle) => Handle) => unknown,
    dropout?: UpdateDropout,
  ): ClassEntropy {
    const { ops, weights, memory } = this;
    const { runtime } = ops;
    const { n_layers } = this.config;
    const lowest = Math.min(n_layers, ...plan.modules.map(({ layer }) => layer));
    const saved = new Map<number, EncoderActivations | Handle>();
    const rowsOf = (layer: number) => new Map(plan.modules.filter((m) => m.layer === layer).map((m) => [m.target, m]));
    const pathOf = (layer: number) => (dropout ? new UpdatePath(runtime, ops, rowsOf(layer), dropout) : undefined);
    const keepOf = (layer: number, activations: EncoderActivations): readonly Handle[] => {
      if (layer < lowest) return [];
      saved.set(layer, memory === 'fast' ? activations : activations.x);
      return memory === 'fast' ? Object.values(activations) : [activations.x];
    };
    const x = this.forward(shape, tensors, weights, keepOf, pathOf);
    const head = headForward(ops, weights, x, tensors.first);
    const { loss, predicted, dLogits } = ops.classEntropy(head.logits, tensors.classes);
    const scaled = ops.multiply(dLogits, tensors.scale);
    const top = headBackward({ runtime, ops }, weights, head, scaled, rowsOf(n_layers), lowest < n_layers);
    for (const [key, gradient] of top.gradients) take(key, gradient, (handle) => handle);
    let dy = top.dx && ops.scatterRows(top.dx, head.first, shape.size * shape.length);
    runtime.release(x);
    for (let layer = n_layers - 1; layer >= lowest && dy; layer--) {
      const kept = saved.get(layer) as EncoderActivations | Handle;
      const above: Handle = dy;
      const dx = runtime.scope((keepLayer) =>
        runtime.after(above, () => {
          const w = encoderLayerWeights(weights, layer);
          const context = { ...this.context(shape, tensors), path: pathOf(layer) };
          const activations = 'id' in kept ? encoderLayerForward(context, w, kept).saved : kept;
          const result = encoderLayerBackward(context, w, activations, above, rowsOf(layer), layer > lowest);
          for (const [key, gradient] of result.gradients) take(key, gradient, keepLayer);
          return result.dx && keepLayer(result.dx);
        }),
      );
      runtime.release(above, ...('id' in kept ? [kept] : Object.values(kept as EncoderActivations)));
      dy = dx;
    }
    return { loss, predicted };
  }

  context({ size, length }: EncoderShape, { counts }: EncoderTensors): EncoderContext {
    const { config, ops } = this;
    const heads = { heads: config.n_heads, kvHeads: config.n_heads, headDim: config.hidden_size / config.n_heads };
    return { runtime: ops.runtime, ops, config, shape: { batch: size, length, ...heads }, counts };
  }

  /** [N, C] of the last layer. keepOf: handles of a layer that must outlive it. */
  forward(
    shape: EncoderShape,
    tensors: EncoderTensors,
    weights = this.weights,
    keepOf: (layer: number, saved: EncoderActivations) => readonly Handle[] = () => [],
    pathOf: (layer: number) => UpdatePath | undefined = () => undefined,
  ): Handle {
    const { runtime } = this.ops;
    const context = this.context(shape, tensors);
    let x = this.#embed(tensors);
    for (let layer = 0; layer < this.config.n_layers; layer++) {
      const next = runtime.scope((keep) => {
        const { y, saved } = encoderLayerForward({ ...context, path: pathOf(layer) }, encoderLayerWeights(weights, layer), x);
        const kept = keepOf(layer, saved);
        for (const handle of kept) if (handle !== x) keep(handle);
        return { y: keep(y), inputKept: kept.includes(x) };
      });
      if (!next.inputKept) runtime.release(x);
      x = next.y;
    }
    return x;
  }

  /** Word, position and type embeddings, added and normed: [N, C]. */
  #embed({ ids, types, positions }: EncoderTensors): Handle {
    const { ops, weights, config } = this;
    return ops.runtime.scope((keep) => {
      const sum = ops.addAll([
        ops.gatherRows(weights.get('embed'), ids),
        ops.gatherRows(weights.get('types'), types),
        ops.gatherRows(weights.get('positions'), positions),
      ]);
      return keep(ops.layerNorm(sum, weights.get('embed_norm'), weights.get('embed_norm_bias'), config.norm_eps));
    });
  }
}
