import type { EncoderConfig } from '@rowsmith/contracts';
import { EngineError } from '../errors.js';
import { EncoderGraphs } from '../graph/encoder-graphs.js';
import type { Execution } from '../graph/execution.js';
import type { StockOps } from '../ops/stock-ops.js';
import type { Quantization } from '../quant/formats.js';
import type { Handle } from '../runtime/handle.js';
import type { Batch, LinearInfo, LossSums, RowPlan, SequenceClassifier } from './causal-lm.js';
import { encoderConfigOf } from './check-config.js';
import { checkEncoderPlan, realRows, sequencesOf } from './encoder-batch.js';
import { type EncoderInputs, encoderInputs, uploadEncoderInputs } from './encoder-inputs.js';
import { encoderLayerWeights, encoderInputs as layerInputs } from './encoder-layer.js';
import { encoderLinears, encoderShapes } from './encoder-layout.js';
import { type ClassEntropy, EncoderPass } from './encoder-pass.js';
import { LinearAccess } from './linear-access.js';
import { type Shift, shiftedWeights } from './shifted-weights.js';
import type { UpdateDropout } from './update-path.js';
import { type EncoderInMemory, loadTensors, type ModelTensors, type PackedModelFile } from './weights.js';

export interface ClassifierOptions {
  /** Classes of a new classifier, which begins as zeros; absent: the one that the weights hold. A pooler that they lack begins as zeros, too. */
  readonly classes?: number | undefined;
  /** As CausalLMOptions. */
  readonly rowTensors?: readonly string[];
  readonly memory?: 'fast' | 'low';
  readonly quantization?: Quantization | undefined;
  readonly execution?: Execution;
}

/** An encoder with a pooler and a classifier. Throws EngineError `invalid_model` (a decoder; no classifier in the weights), `invalid_rows`. */
export function createClassifier(
  ops: StockOps,
  source: PackedModelFile | EncoderInMemory,
  { classes: asked, rowTensors, memory = 'fast', quantization, execution = 'eager' }: ClassifierOptions = {},
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
  return new Encoder(ops, weights, config, classes, linears, new Set(linears.filter(({ tensor }) => fresh.has(tensor))), memory, execution);
}

class Encoder extends LinearAccess implements SequenceClassifier {
  readonly #pass: EncoderPass;
  /** Absent: operator by operator. */
  private readonly graphs: EncoderGraphs | undefined;

  constructor(
    ops: StockOps,
    weights: ModelTensors,
    readonly config: EncoderConfig,
    readonly classes: number,
    readonly linears: readonly LinearInfo[],
    readonly fresh: ReadonlySet<LinearInfo>,
    memory: 'fast' | 'low',
    execution: Execution,
  ) {
    super(ops, weights);
    this.#pass = new EncoderPass(ops, weights, config, memory);
    if (execution === 'graph' && !this.quantization)
      this.graphs = new EncoderGraphs(ops.runtime, this.#pass, config.max_position_embeddings);
  }

  get execution(): Execution {
    return this.graphs ? 'graph' : 'eager';
  }

  get graphLoads(): number {
    return this.graphs?.graphs.loads ?? 0;
  }

  loss(batch: Batch): LossSums {
    return this.#loss(batch, this.weights);
  }

  lossAt(batch: Batch, shift: Shift): LossSums {
    return this.#loss(batch, shiftedWeights(this.ops, this.weights, this.linears, shift));
  }

  classLogits(batch: Batch): Float32Array {
    const { runtime } = this.ops;
    const inputs = this.#inputs(batch);
    return runtime.scope(() => runtime.readF32(this.#pass.logits(inputs, uploadEncoderInputs(runtime, inputs))).slice());
  }

  #inputs(batch: Batch, scale = 1): EncoderInputs {
    return encoderInputs(batch, sequencesOf(batch, this.config, this.classes), scale);
  }

  #loss(batch: Batch, weights: ModelTensors): LossSums {
    const { runtime } = this.ops;
    const inputs = this.#inputs(batch);
    return runtime.scope(() => {
      const inGraph = weights === this.weights ? this.graphs : undefined;
      const entropy = inGraph ? inGraph.loss(inputs) : this.#pass.loss(inputs, uploadEncoderInputs(runtime, inputs), weights);
      return this.#sums(entropy, inputs.classes);
    });
  }

  visitInputs(batch: Batch, linears: readonly LinearInfo[], visit: (sharing: readonly LinearInfo[], x: Handle) => void): void {
    const { runtime, ops } = { runtime: this.ops.runtime, ops: this.ops };
    runtime.scope(() => {
      const sequences = sequencesOf(batch, this.config, this.classes);
      const realIds = realRows(batch, sequences);
      const real = runtime.upload(realIds, [realIds.length], 'i32');
      const inputs = encoderInputs(batch, sequences, 1);
      const tensors = uploadEncoderInputs(runtime, inputs);
      this.#pass.forward(inputs, tensors, this.weights, (layer, saved) => {
        const context = this.#pass.context(inputs, tensors);
        for (const { targets, input } of layerInputs(context, encoderLayerWeights(this.weights, layer), saved)) {
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
    this.graphs?.dispose();
    this.weights.dispose();
  }

  /** visit: takes each gradient instead of `grads`; it is freed when its layer is done. */
  #lossAndGrads(
    batch: Batch,
    plan: RowPlan,
    scale: number,
    dropout?: UpdateDropout,
    visit?: (key: string, gradient: Handle) => unknown,
  ): LossSums & { readonly grads: ReadonlyMap<string, Handle> } {
    checkEncoderPlan(plan, this.config);
    const { runtime } = this.ops;
    const inputs = this.#inputs(batch, scale);
    return runtime.scope((keep) => {
      if (this.graphs && !visit) {
        const { grads: computed, ...entropy } = this.graphs.gradients(inputs, plan, dropout);
        for (const gradient of computed.values()) keep(gradient);
        return { ...this.#sums(entropy, inputs.classes), grads: computed };
      }
      const grads = new Map<string, Handle>();
      const take = visit ?? ((key: string, gradient: Handle, keepLayer: (handle: Handle) => Handle) => grads.set(key, keepLayer(gradient)));
      const entropy = this.#pass.gradients(inputs, uploadEncoderInputs(runtime, inputs), plan, take, dropout);
      for (const gradient of grads.values()) keep(gradient);
      return { ...this.#sums(entropy, inputs.classes), grads };
    });
  }

  /** Waits for the device. Summed in f64, in the order of the sequences. */
  #sums({ loss, predicted }: ClassEntropy, classes: Int32Array): LossSums {
    const losses = this.ops.runtime.readF32(loss);
    const chosen = this.ops.runtime.readI32(predicted);
    let lossSum = 0;
    let correct = 0;
    classes.forEach((label, i) => {
      lossSum += losses[i] ?? Number.NaN;
      if (chosen[i] === label) correct++;
    });
    return { lossSum, correct, labelled: classes.length };
  }
}
