import type { DecoderConfig } from '@rowsmith/contracts';
import { tokensOf } from '../generate/tokens.js';
import type { StockOps } from '../ops/stock-ops.js';
import type { Quantization } from '../quant/formats.js';
import type { Handle } from '../runtime/handle.js';
import { checkIds, checkLength, checkPlan, labelledRows } from './batch.js';
import type { Batch, CausalLM, GenerateOptions, LinearInfo, LossSums, RowPlan } from './causal-lm.js';
import { checkConfig, decoderConfigOf } from './check-config.js';
import { embedTokens, headOf, logitsOf } from './embedding.js';
import { type LayerActivations, layerForward, layerWeights } from './layer.js';
import { type LayerRows, layerBackward } from './layer-backward.js';
import { layerInputs } from './layer-inputs.js';
import { linearsOf } from './layout.js';
import { LinearAccess } from './linear-access.js';
import { partsOf } from './parts.js';
import { type LayerPositions, RopeTables } from './rope-tables.js';
import { segmentsOf } from './segments.js';
import { type Shift, shiftedWeights } from './shifted-weights.js';
import { type UpdateDropout, UpdatePath } from './update-path.js';
import { loadWeights, type ModelSource, type ModelWeights } from './weights.js';

export interface CausalLMOptions {
  /** Packed tensors whose rows will be written; default: those of all linears. The other matrices of a model on disk are mapped read-only. */
  readonly rowTensors?: readonly string[];
  /** fast (default): keep activations. low: keep each layer's input and compute the layer again in the backward pass: a third more arithmetic. */
  readonly memory?: 'fast' | 'low';
  /** Holds the linears' matrices in 4 or 8 bits; rows and columns that are written stay exact. Absent: as they are. */
  readonly quantization?: Quantization | undefined;
}

/** A decoder, described by its config, with a hand-written backward pass for selected rows. Throws EngineError `invalid_model`, `invalid_rows`. */
export function createCausalLM(ops: StockOps, source: ModelSource, options: CausalLMOptions = {}): CausalLM {
  const config = decoderConfigOf('index' in source ? source.index.config : source.config);
  checkConfig(config);
  const rowTensors = options.rowTensors ?? [
    ...new Set(linearsOf(config).flatMap(({ tensor, bias }) => (bias ? [tensor, bias] : [tensor]))),
  ];
  return new Decoder(ops, loadWeights(ops, source, rowTensors, options.quantization), options.memory ?? 'fast');
}

class Decoder extends LinearAccess implements CausalLM {
  readonly config: DecoderConfig;
  readonly linears: readonly LinearInfo[];
  readonly #rope: RopeTables;

  constructor(
    ops: StockOps,
    protected override readonly weights: ModelWeights,
    private readonly memory: 'fast' | 'low',
  ) {
    super(ops, weights);
    this.config = weights.config;
    this.linears = linearsOf(weights.config);
    this.#rope = new RopeTables(ops.runtime, ops, weights.config);
  }

  loss(batch: Batch): LossSums {
    return this.#loss(batch, this.weights);
  }

  lossAt(batch: Batch, shift: Shift): LossSums {
    return this.#loss(batch, shiftedWeights(this.ops, this.weights, this.linears, shift));
  }

  visitInputs(batch: Batch, linears: readonly LinearInfo[], visit: (sharing: readonly LinearInfo[], x: Handle) => void): void {
    checkIds(batch.ids, this.config);
    const { runtime, ops } = { runtime: this.ops.runtime, ops: this.ops };
    runtime.scope(() => {
      this.#forward(batch.ids, batch.size, batch.length, this.#positions(batch), (layer, activations) => {
        for (const { targets, input } of layerInputs(
          ops,
          layerWeights(this.weights, layer),
          this.config,
          activations,
          batch.size,
          batch.length,
        )) {
          const sharing = linears.filter((linear) => linear.layer === layer && targets.some((target) => target === linear.target));
          if (sharing.length > 0) runtime.scope(() => visit(sharing, input()));
        }
        return undefined;
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
    const { grads, ...sums } = this.#lossAndGrads(batch, { modules }, scale, (name, gradient) =>
      visit(byName.get(name) as LinearInfo, gradient),
    );
    return sums;
  }

  #loss(batch: Batch, weights: ModelWeights): LossSums {
    const labelled = labelledRows(batch, this.config);
    if (labelled.rows.length === 0) return { lossSum: 0, correct: 0, labelled: 0 };
    const { runtime, ops } = { runtime: this.ops.runtime, ops: this.ops };
    return runtime.scope(() => {
      const at = this.#positions(batch);
      const x = this.#forward(batch.ids, batch.size, batch.length, at, () => undefined, weights);
      const hidden = ops.rmsNorm(ops.gatherRows(x, this.#ids(labelled.rows)), this.weights.get('final_norm'), this.config.norm_eps);
      return this.#sums(
        ops.crossEntropyForward(hidden, this.#head(), this.#ids(labelled.labels), this.config.logit_softcap),
        labelled.labels,
      );
    });
  }

  lossAndGrads(
    batch: Batch,
    plan: RowPlan,
    scale: number,
    dropout?: UpdateDropout,
  ): LossSums & { readonly grads: ReadonlyMap<string, Handle> } {
    return this.#lossAndGrads(batch, plan, scale, undefined, dropout);
  }

  /** visit: takes each gradient instead of `grads`; it is freed when its layer is done. */
  #lossAndGrads(
    batch: Batch,
    plan: RowPlan,
    scale: number,
    visit?: (key: string, gradient: Handle) => void,
    dropout?: UpdateDropout,
  ): LossSums & { readonly grads: ReadonlyMap<string, Handle> } {
    checkPlan(plan, this.config);
    const labelled = labelledRows(batch, this.config);
    const { runtime, ops } = { runtime: this.ops.runtime, ops: this.ops };
    return runtime.scope((keep) => {
      const grads = new Map<string, Handle>();
      if (labelled.rows.length === 0) {
        if (!visit) for (const { key, ids, width } of plan.modules.flatMap(partsOf)) grads.set(key, keep(ops.zeros([ids.length, width])));
        return { lossSum: 0, correct: 0, labelled: 0, grads };
      }
      const lowest = Math.min(this.config.n_layers, ...plan.modules.map(({ layer }) => layer));
      const saved = new Map<number, LayerActivations | Handle>();
      const at = this.#positions(batch);
      const pathOf = (layer: number) => (dropout ? new UpdatePath(runtime, ops, rowsOfLayer(plan, layer), dropout) : undefined);
      const keepOf = (layer: number, activations: LayerActivations) => {
        if (layer < lowest) return undefined;
        const kept = this.memory === 'fast' ? activations : activations.x;
        saved.set(layer, kept);
        return this.memory === 'fast' ? Object.values(activations) : [activations.x];
      };
      const x = this.#forward(batch.ids, batch.size, batch.length, at, keepOf, this.weights, pathOf);
      const rowIds = this.#ids(labelled.rows);
      const rows = ops.gatherRows(x, rowIds);
      const finalNorm = this.weights.get('final_norm');
      const hidden = ops.rmsNorm(rows, finalNorm, this.config.norm_eps);
      const entropy = ops.crossEntropy(hidden, this.#head(), this.#ids(labelled.labels), this.config.logit_softcap);
      const sums = this.#sums(entropy, labelled.labels);
      const dRows = ops.rmsNormBackward(ops.scale(entropy.dHidden, scale), rows, finalNorm, this.config.norm_eps).dx;
      let dy = ops.scatterRows(dRows, rowIds, batch.size * batch.length);
      runtime.release(x);
      for (let layer = this.config.n_layers - 1; layer >= lowest; layer--) {
        const kept = saved.get(layer) as LayerActivations | Handle;
        const dx = runtime.scope((keepLayer) => {
          const w = layerWeights(this.weights, layer);
          const path = pathOf(layer);
          const context = { runtime, ops, config: this.config, batch: batch.size, length: batch.length, at: at(layer), path };
          const activations =
            'id' in kept ? layerForward(ops, w, this.config, kept, batch.size, batch.length, context.at, path).saved : kept;
          const result = layerBackward(context, w, activations, dy, rowsOfLayer(plan, layer), layer > lowest);
          for (const [key, gradient] of result.gradients) {
            if (visit) visit(key, gradient);
            else grads.set(key, keepLayer(gradient));
          }
          return result.dx && keepLayer(result.dx);
        });
        runtime.release(dy, ...('id' in kept ? [kept] : Object.values(kept as LayerActivations)));
        if (dx) dy = dx;
      }
      for (const gradient of grads.values()) keep(gradient);
      return { ...sums, grads };
    });
  }

  logits(ids: Int32Array): Float32Array {
    checkIds(ids, this.config);
    checkLength(ids.length, this.config);
    const { runtime, ops } = { runtime: this.ops.runtime, ops: this.ops };
    return runtime.scope(() => {
      const x = this.#forward(ids, 1, ids.length, this.#rope.positions(0, ids.length), () => undefined);
      return runtime.readF32(logitsOf(ops, this.weights, x));
    });
  }

  generate(ids: Int32Array, options: GenerateOptions): Int32Array {
    return Int32Array.from(this.tokens(ids, options));
  }

  *tokens(ids: Int32Array, options: GenerateOptions): Generator<number, void, void> {
    checkIds(ids, this.config);
    yield* tokensOf({ ops: this.ops, weights: this.weights, rope: this.#rope }, ids, options);
  }

  dispose(): void {
    this.#rope.dispose();
    this.weights.dispose();
  }

  #positions(batch: Batch): LayerPositions {
    const segments = segmentsOf(batch, this.config);
    return segments ? this.#rope.packed(segments) : this.#rope.positions(0, batch.length);
  }

  /** [N, C] before the final norm, in the caller's scope. keepOf: handles of a layer that must outlive it. */
  #forward(
    ids: Int32Array,
    batch: number,
    length: number,
    at: LayerPositions,
    keepOf: (layer: number, activations: LayerActivations) => readonly Handle[] | undefined,
    weights = this.weights,
    pathOf: (layer: number) => UpdatePath | undefined = () => undefined,
  ): Handle {
    const { runtime, ops } = { runtime: this.ops.runtime, ops: this.ops };
    let x = embedTokens(ops, this.weights, this.#ids(ids));
    for (let layer = 0; layer < this.config.n_layers; layer++) {
      const next = runtime.scope((keep) => {
        const { y, saved } = layerForward(ops, layerWeights(weights, layer), this.config, x, batch, length, at(layer), pathOf(layer));
        const kept = keepOf(layer, saved);
        for (const handle of kept ?? []) if (handle !== x) keep(handle);
        return { y: keep(y), inputKept: kept?.includes(x) ?? false };
      });
      if (!next.inputKept) runtime.release(x);
      x = next.y;
    }
    return x;
  }

  /** Waits for the device: the step's losses and predictions are read here. Summed in f64, in the order of the rows. */
  #sums({ loss, predicted }: { readonly loss: Handle; readonly predicted: Handle }, labels: Int32Array): LossSums {
    const losses = this.ops.runtime.readF32(loss);
    const ids = this.ops.runtime.readI32(predicted);
    let lossSum = 0;
    let correct = 0;
    for (let i = 0; i < labels.length; i++) {
      lossSum += losses[i] ?? Number.NaN;
      if (ids[i] === labels[i]) correct++;
    }
    return { lossSum, correct, labelled: labels.length };
  }

  #head(): Handle {
    return headOf(this.weights);
  }

  /** The array stays the caller's and may be written again: copied. */
  #ids(values: Int32Array): Handle {
    return this.ops.runtime.upload(values, [values.length], 'i32', true);
  }
}

function rowsOfLayer(plan: RowPlan, layer: number): LayerRows {
  return new Map(plan.modules.filter((module) => module.layer === layer).map((module) => [module.target, module]));
}
