import type { EncoderConfig } from '@rowsmith/contracts';
import { EngineError } from '../errors.js';
import type { StockOps } from '../ops/stock-ops.js';
import type { Quantization } from '../quant/formats.js';
import type { Handle } from '../runtime/handle.js';
import type { Batch, LinearInfo, LossSums, RowPlan, SequenceClassifier } from './causal-lm.js';
import { encoderConfigOf } from './check-config.js';
import { checkEncoderPlan, realRows, sequencesOf } from './encoder-batch.js';
import { type Head, headBackward, headForward } from './encoder-head.js';
import { type EncoderActivations, type EncoderContext, encoderInputs, encoderLayerForward, encoderLayerWeights } from './encoder-layer.js';
import { encoderLayerBackward } from './encoder-layer-backward.js';
import { encoderLinears, encoderShapes } from './encoder-layout.js';
import { LinearAccess } from './linear-access.js';
import { type Shift, shiftedWeights } from './shifted-weights.js';
import { type UpdateDropout, UpdatePath } from './update-path.js';
import { type EncoderInMemory, loadTensors, type ModelTensors, type PackedModelFile } from './weights.js';

export interface ClassifierOptions {
  /** Classes of a new classifier, which begins as zeros; absent: the one that the weights hold. A pooler that they lack begins as zeros, too. */
  readonly classes?: number | undefined;
  /** As CausalLMOptions. */
  readonly rowTensors?: readonly string[];
  readonly memory?: 'fast' | 'low';
  readonly quantization?: Quantization | undefined;
}

/** An encoder with a pooler and a classifier. Throws EngineError `invalid_model` (a decoder; no classifier in the weights), `invalid_rows`. */
export function createClassifier(
  ops: StockOps,
  source: PackedModelFile | EncoderInMemory,
  { classes: asked, rowTensors, memory = 'fast', quantization }: ClassifierOptions = {},
): SequenceClassifier {
  const config = encoderConfigOf('index' in source ? source.index.config : source.config);
  const classes = asked ?? config.classes?.length;
  if (classes === undefined)
    throw new EngineError('precheck', 'invalid_model', 'the weights hold no classifier: say how many classes a new one has');
  const linears = encoderLinears(config, classes);
  const fresh = new Set([...(config.pooler ? [] : ['pooler', 'pooler_bias']), ...(asked ? ['classifier', 'classifier_bias'] : [])]);
  const layers = linears.filter(({ layer }) => layer < config.n_layers);
  const weights = loadTensors(ops, source, {
    shapes: encoderShapes(config, classes),
    matrices: layers.map(({ tensor }) => tensor),
    rowTensors: rowTensors ?? [...new Set(linears.flatMap(({ tensor, bias }) => (bias ? [tensor, bias] : [tensor])))],
    quantization,
    fresh,
  });
  return new Encoder(ops, weights, config, classes, linears, new Set(linears.filter(({ tensor }) => fresh.has(tensor))), memory);
}

class Encoder extends LinearAccess implements SequenceClassifier {
  constructor(
    ops: StockOps,
    weights: ModelTensors,
    readonly config: EncoderConfig,
    readonly classes: number,
    readonly linears: readonly LinearInfo[],
    readonly fresh: ReadonlySet<LinearInfo>,
    private readonly memory: 'fast' | 'low',
  ) {
    super(ops, weights);
  }

  loss(batch: Batch): LossSums {
    return this.#loss(batch, this.weights);
  }

  lossAt(batch: Batch, shift: Shift): LossSums {
    return this.#loss(batch, shiftedWeights(this.ops, this.weights, this.linears, shift));
  }

  classLogits(batch: Batch): Float32Array {
    return this.ops.runtime.scope(() => this.ops.runtime.readF32(this.#head(batch, this.#forward(batch)).logits).slice());
  }

  #loss(batch: Batch, weights: ModelTensors): LossSums {
    return this.ops.runtime.scope(() => this.#sums(batch, this.#head(batch, this.#forward(batch, weights), weights)).sums);
  }

  visitInputs(batch: Batch, linears: readonly LinearInfo[], visit: (sharing: readonly LinearInfo[], x: Handle) => void): void {
    const { runtime, ops } = { runtime: this.ops.runtime, ops: this.ops };
    runtime.scope(() => {
      const real = this.#ids(realRows(batch, sequencesOf(batch, this.config, this.classes)));
      this.#forward(batch, this.weights, (layer, saved) => {
        const context = this.#context(batch);
        for (const { targets, input } of encoderInputs(context, encoderLayerWeights(this.weights, layer), saved)) {
          const sharing = linears.filter((linear) => linear.layer === layer && targets.some((target) => target === linear.target));
          if (sharing.length > 0) runtime.scope(() => visit(sharing, ops.gatherRows(input(), real)));
        }
        return [];
      });
    });
  }

  visitGradients(
    batch: Batch,
    scale: number,
    linears: readonly LinearInfo[],
    visit: (linear: LinearInfo, gradient: Handle) => void,
  ): LossSums {
    const modules = linears.map((linear) => ({ ...linear, indices: Int32Array.from({ length: linear.outFeatures }, (_, row) => row) }));
    const byName = new Map(linears.map((linear) => [linear.name, linear]));
    const { grads, ...sums } = this.#lossAndGrads(batch, { modules }, scale, undefined, (name, gradient) =>
      visit(byName.get(name) as LinearInfo, gradient),
    );
    return sums;
  }

  lossAndGrads(
    batch: Batch,
    plan: RowPlan,
    scale: number,
    dropout?: UpdateDropout,
  ): LossSums & { readonly grads: ReadonlyMap<string, Handle> } {
    return this.#lossAndGrads(batch, plan, scale, dropout);
  }

  dispose(): void {
    this.weights.dispose();
  }

  /** visit: takes each gradient instead of `grads`; it is freed when its layer is done. */
  #lossAndGrads(
    batch: Batch,
    plan: RowPlan,
    scale: number,
    dropout?: UpdateDropout,
    visit?: (key: string, gradient: Handle) => void,
  ): LossSums & { readonly grads: ReadonlyMap<string, Handle> } {
    checkEncoderPlan(plan, this.config);
    const { runtime, ops } = { runtime: this.ops.runtime, ops: this.ops };
    const { n_layers } = this.config;
    return runtime.scope((keep) => {
      const grads = new Map<string, Handle>();
      const lowest = Math.min(n_layers, ...plan.modules.map(({ layer }) => layer));
      const saved = new Map<number, EncoderActivations | Handle>();
      const rowsOf = (layer: number) => new Map(plan.modules.filter((m) => m.layer === layer).map((m) => [m.target, m]));
      const pathOf = (layer: number) => (dropout ? new UpdatePath(runtime, ops, rowsOf(layer), dropout) : undefined);
      const keepOf = (layer: number, activations: EncoderActivations): readonly Handle[] => {
        if (layer < lowest) return [];
        saved.set(layer, this.memory === 'fast' ? activations : activations.x);
        return this.memory === 'fast' ? Object.values(activations) : [activations.x];
      };
      const take = (gradients: ReadonlyMap<string, Handle>, keepLayer: (handle: Handle) => Handle) => {
        for (const [key, gradient] of gradients) {
          if (visit) visit(key, gradient);
          else grads.set(key, keepLayer(gradient));
        }
      };
      const x = this.#forward(batch, this.weights, keepOf, pathOf);
      const head = this.#head(batch, x);
      const { sums, dLogits } = this.#sums(batch, head);
      const top = headBackward({ runtime, ops }, this.weights, head, ops.scale(dLogits, scale), rowsOf(n_layers), lowest < n_layers);
      take(top.gradients, (handle) => handle);
      let dy = top.dx && ops.scatterRows(top.dx, head.first, batch.size * batch.length);
      runtime.release(x);
      for (let layer = n_layers - 1; layer >= lowest && dy; layer--) {
        const kept = saved.get(layer) as EncoderActivations | Handle;
        const above: Handle = dy;
        const dx = runtime.scope((keepLayer) => {
          const w = encoderLayerWeights(this.weights, layer);
          const context = { ...this.#context(batch), path: pathOf(layer) };
          const activations = 'id' in kept ? encoderLayerForward(context, w, kept).saved : kept;
          const result = encoderLayerBackward(context, w, activations, above, rowsOf(layer), layer > lowest);
          take(result.gradients, keepLayer);
          return result.dx && keepLayer(result.dx);
        });
        runtime.release(above, ...('id' in kept ? [kept] : Object.values(kept as EncoderActivations)));
        dy = dx;
      }
      for (const gradient of grads.values()) keep(gradient);
      return { ...sums, grads };
    });
  }

  #context(batch: Batch): EncoderContext {
    const { config } = this;
    const { counts } = sequencesOf(batch, config, this.classes);
    const heads = { heads: config.n_heads, kvHeads: config.n_heads, headDim: config.hidden_size / config.n_heads };
    const shape = { batch: batch.size, length: batch.length, ...heads };
    return { runtime: this.ops.runtime, ops: this.ops, config, shape, counts: this.#ids(counts) };
  }

  /** [N, C] of the last layer, in the caller's scope. keepOf: handles of a layer that must outlive it. */
  #forward(
    batch: Batch,
    weights = this.weights,
    keepOf: (layer: number, saved: EncoderActivations) => readonly Handle[] = () => [],
    pathOf: (layer: number) => UpdatePath | undefined = () => undefined,
  ): Handle {
    const { runtime } = this.ops;
    const context = this.#context(batch);
    let x = this.#embed(batch);
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
  #embed(batch: Batch): Handle {
    const { ops, weights, config } = this;
    const { types } = sequencesOf(batch, config, this.classes);
    return ops.runtime.scope((keep) => {
      const positions = batch.ids.map((_, i) => i % batch.length);
      const sum = ops.addAll([
        ops.gatherRows(weights.get('embed'), this.#ids(batch.ids)),
        ops.gatherRows(weights.get('types'), this.#ids(types)),
        ops.gatherRows(weights.get('positions'), this.#ids(positions)),
      ]);
      return keep(ops.layerNorm(sum, weights.get('embed_norm'), weights.get('embed_norm_bias'), config.norm_eps));
    });
  }

  #head(batch: Batch, x: Handle, weights = this.weights): Head {
    const first = this.#ids(Int32Array.from({ length: batch.size }, (_, row) => row * batch.length));
    return headForward(this.ops, weights, x, first);
  }

  /** Waits for the device. Summed in f64, in the order of the sequences. */
  #sums(batch: Batch, { logits }: Head): { readonly sums: LossSums; readonly dLogits: Handle } {
    const { classes } = sequencesOf(batch, this.config, this.classes);
    const { loss, predicted, dLogits } = this.ops.classEntropy(logits, this.#ids(classes));
    const losses = this.ops.runtime.readF32(loss);
    const chosen = this.ops.runtime.readI32(predicted);
    let lossSum = 0;
    let correct = 0;
    classes.forEach((label, i) => {
      lossSum += losses[i] ?? Number.NaN;
      if (chosen[i] === label) correct++;
    });
    return { sums: { lossSum, correct, labelled: classes.length }, dLogits };
  }

  /** The array stays the caller's and may be written again: copied. */
  #ids(values: Int32Array): Handle {
    return this.ops.runtime.upload(values, [values.length], 'i32', true);
  }
}
