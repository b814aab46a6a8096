import type { DecoderConfig } from '@rowsmith/contracts';
import { tokensOf } from '../generate/tokens.js';
import { DecoderGraphs } from '../graph/decoder-graphs.js';
import type { Execution } from '../graph/execution.js';
import type { HoldWeights } from '../graph/step-graph.js';
import type { StockOps } from '../ops/stock-ops.js';
import type { Quantization } from '../quant/formats.js';
import type { Handle } from '../runtime/handle.js';
import { checkIds, checkLength, checkPlan, labelledRows } from './batch.js';
import type { Batch, CausalLM, GenerateOptions, LinearInfo, LossSums, RowPlan } from './causal-lm.js';
import { checkConfig, decoderConfigOf } from './check-config.js';
import { decoderInputs, uploadInputs } from './decoder-inputs.js';
import { DecoderPass } from './decoder-pass.js';
import { logitsOf } from './embedding.js';
import { layerWeights } from './layer.js';
import { layerInputs } from './layer-inputs.js';
import { linearsOf } from './layout.js';
import { LinearAccess } from './linear-access.js';
import { partsOf } from './parts.js';
import { RopeTables } from './rope-tables.js';
import { type Shift, shiftedWeights } from './shifted-weights.js';
import type { UpdateDropout } from './update-path.js';
import { loadWeights, type ModelSource, type ModelWeights } from './weights.js';

export interface CausalLMOptions {
  /** Packed tensors whose rows will be written; default: those of all linears. The other matrices of a model on disk are mapped read-only. */
  readonly rowTensors?: readonly string[];
  /** fast (default): keep activations. low: keep each layer's input and compute the layer again in the backward pass: a quarter more arithmetic. */
  readonly memory?: 'fast' | 'low';
  /** Holds the linears' matrices in 4 or 8 bits; rows and columns that are written stay exact. Absent: as they are. */
  readonly quantization?: Quantization | undefined;
  /** graph: losses and gradients by recorded graphs (packages/engine README); eager (default): operator by operator. */
  readonly execution?: Execution;
  /** Where the weights of graphs are; default: resident on a GPU, else fed. */
  readonly graphWeights?: HoldWeights;
}

/** A decoder, described by its config, with a hand-written backward pass for selected rows. Throws EngineError `invalid_model`, `invalid_rows`. */
export function createCausalLM(ops: StockOps, source: ModelSource, options: CausalLMOptions = {}): CausalLM {
  const config = decoderConfigOf('index' in source ? source.index.config : source.config);
  checkConfig(config);
  const rowTensors = options.rowTensors ?? [
    ...new Set(linearsOf(config).flatMap(({ tensor, bias }) => (bias ? [tensor, bias] : [tensor]))),
  ];
  return new Decoder(
    ops,
    loadWeights(ops, source, rowTensors, options.quantization),
    options.memory ?? 'fast',
    options.execution ?? 'eager',
    options.graphWeights,
  );
}

class Decoder extends LinearAccess implements CausalLM {
  readonly config: DecoderConfig;
  readonly linears: readonly LinearInfo[];
  readonly #rope: RopeTables;
  readonly #pass: DecoderPass;
  /** Absent: operator by operator. */
  private readonly graphs: DecoderGraphs | undefined;

  constructor(
    ops: StockOps,
    protected override readonly weights: ModelWeights,
    memory: 'fast' | 'low',
    execution: Execution,
    hold: HoldWeights | undefined,
  ) {
    super(ops, weights);
    this.config = weights.config;
    this.linears = linearsOf(weights.config);
    this.#rope = new RopeTables(ops.runtime, ops, weights.config);
    this.#pass = new DecoderPass(ops, weights, this.#rope, memory);
    if (execution === 'graph' && !this.quantization)
      this.graphs = new DecoderGraphs(ops.runtime, this.#pass, this.#rope, weights.config.max_position_embeddings, hold);
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

  visitInputs(batch: Batch, linears: readonly LinearInfo[], visit: (sharing: readonly LinearInfo[], x: Handle) => void): void {
    checkIds(batch.ids, this.config);
    const { runtime, ops } = { runtime: this.ops.runtime, ops: this.ops };
    runtime.scope(() => {
      const inputs = decoderInputs(batch, { rows: new Int32Array(0), labels: new Int32Array(0) }, 1, this.config);
      const tensors = uploadInputs(runtime, inputs);
      this.#pass.forward(tensors.ids, batch, this.#pass.positions(inputs, tensors), (layer, activations) => {
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
    const { runtime } = this.ops;
    const inputs = decoderInputs(batch, labelled, 1, this.config);
    return runtime.scope(() => {
      const inGraph = weights === this.weights ? this.graphs : undefined;
      const entropy = inGraph ? inGraph.loss(inputs) : this.#pass.loss(inputs, uploadInputs(runtime, inputs), weights);
      return this.#sums(entropy, labelled.labels);
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
    visit?: (key: string, gradient: Handle) => unknown,
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
      const inputs = decoderInputs(batch, labelled, scale, this.config);
      const take = visit ?? ((key: string, gradient: Handle, keepLayer: (handle: Handle) => Handle) => grads.set(key, keepLayer(gradient)));
      if (this.graphs && !visit) {
        const { grads: computed, ...entropy } = this.graphs.gradients(inputs, plan, dropout);
        for (const gradient of computed.values()) keep(gradient);
        return { ...this.#sums(entropy, labelled.labels), grads: computed };
      }
      const entropy = this.#pass.gradients(inputs, uploadInputs(runtime, inputs), plan, take, dropout);
      for (const gradient of grads.values()) keep(gradient);
      return { ...this.#sums(entropy, labelled.labels), grads };
    });
  }

  logits(ids: Int32Array): Float32Array {
    checkIds(ids, this.config);
    checkLength(ids.length, this.config);
    const { runtime, ops } = { runtime: this.ops.runtime, ops: this.ops };
    return runtime.scope(() => {
      const tokens = runtime.upload(ids, [ids.length], 'i32', true);
      const x = this.#pass.forward(tokens, { size: 1, length: ids.length }, this.#rope.positions(0, ids.length), () => undefined);
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
    this.graphs?.dispose();
    this.#rope.dispose();
    this.weights.dispose();
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
}
