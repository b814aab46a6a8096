import type { ExecutionName, PackedModelIndex } from '@rowsmith/contracts';
import { loadKernels } from '@rowsmith/kernels';
import { chooseExecution, type Execution } from './graph/execution.js';
import { GraphOps } from './graph/graph-ops.js';
import type { CausalLM, SequenceClassifier } from './models/causal-lm.js';
import { type CausalLMOptions, createCausalLM } from './models/decoder.js';
import { type ClassifierOptions, createClassifier } from './models/encoder.js';
import { FusedOps } from './ops/fused-ops.js';
import type { Precision } from './ops/product.js';
import { StockOps } from './ops/stock-ops.js';
import type { Handle } from './runtime/handle.js';
import { openRuntime } from './runtime/open-runtime.js';

export interface PackedModel {
  readonly index: PackedModelIndex;
  /** Path of `weights.bin`; only read. */
  readonly weightsPath: string;
}

/** TensorFlow in this process. One per process: calls block the event loop, so never in a process that answers requests. */
export interface Engine {
  /** For the engine's own functions (rows, optim, train), which take the engine as an argument. */
  readonly ops: StockOps;
  /** Which operators compute: `fused` (packages/kernels), or `stock` with the reason. Results differ by rounding. */
  readonly operators: { readonly kind: 'fused' } | { readonly kind: 'stock'; readonly reason: string };
  /** graph: models compute losses and gradients by recorded graphs of stock operators; quantised bases operator by operator (`model.execution` says). */
  readonly execution: Execution;
  /** Caller disposes. Throws EngineError `invalid_model` when file and index do not fit. */
  loadModel(model: PackedModel, options?: CausalLMOptions): Promise<CausalLM>;
  /** The same for an encoder with a classifier. */
  loadClassifier(model: PackedModel, options?: ClassifierOptions): Promise<SequenceClassifier>;
  /** Frees gradients and matrices that a model handed out. */
  release(handles: Iterable<Handle>): void;
  /** Tensors alive in TensorFlow: the leak detector. */
  handleCount(): number;
}

export interface EngineOptions {
  /** Of matrix products; default f32. */
  readonly precision?: Precision;
  /** Default auto: graph on a GPU, else eager. */
  readonly execution?: ExecutionName;
}

/** Loads TensorFlow on the first call. */
export async function openEngine({ precision = 'f32', execution: asked = 'auto' }: EngineOptions = {}): Promise<Engine> {
  const runtime = await openRuntime();
  const kernels = await loadKernels();
  const execution = chooseExecution(asked, runtime.device);
  if (execution === 'graph') {
    const mapped = kernels.loaded && runtime.device === 'cpu';
    return engineOf(new GraphOps(runtime, precision, mapped), { kind: 'stock', reason: 'graphs hold stock operators' }, execution);
  }
  return kernels.loaded
    ? engineOf(new FusedOps(runtime, precision), { kind: 'fused' })
    : engineOf(new StockOps(runtime, precision), { kind: 'stock', reason: kernels.reason });
}

export function engineOf(ops: StockOps, operators: Engine['operators'], execution: Execution = 'eager'): Engine {
  const { runtime } = ops;
  return {
    ops,
    operators,
    execution,
    loadModel: async (model, options) => createCausalLM(ops, model, { execution, ...options }),
    loadClassifier: async (model, options) => createClassifier(ops, model, { execution, ...options }),
    release: (handles) => runtime.release(...handles),
    handleCount: () => runtime.handleCount,
  };
}
