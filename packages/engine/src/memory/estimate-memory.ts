/** How much memory a training process needs at its peak, known before anything is computed. Pure. */
import { isEncoder, type ModelConfig, type QuantizationName, type RowSparseConfig, sizesOf } from '@rowsmith/contracts';
import { isHead } from '../models/encoder-layout.js';
import { linearsOfAny, shapesOfAny } from '../models/model-layout.js';
import { chunkRows } from '../ops/stock-cross-entropy.js';
import { rowCount } from '../rows/row-count.js';

export interface MemoryQuestion {
  readonly config: ModelConfig;
  readonly rowSparse: Pick<RowSparseConfig, 'rows' | 'targets' | 'layers' | 'channels' | 'quantization' | 'gradient_accumulation_steps'>;
  readonly memory: 'fast' | 'low';
  /** Of the largest micro-batch, padding included where there is any. */
  readonly tokens: number;
  /** Tokens of the longest sequence that attention sees as one: a packed micro-batch, or a padded row. */
  readonly length: number;
  /** Labelled tokens of the largest micro-batch; `tokens` is an upper bound. */
  readonly labelled: number;
  readonly operators: 'fused' | 'stock';
  /** Resident memory of the process with TensorFlow loaded and the data encoded, but no model. */
  readonly runtimeBytes: number;
}

/** Bytes. Together they are the largest resident set of the process. */
export interface MemoryEstimate {
  /** Node, TensorFlow, its kernels and pools, and what the caller holds. */
  readonly runtime: number;
  /** Weights as pages of the packed file: shared by all processes that map it, and given back under pressure. */
  readonly weightsMapped: number;
  /** Weights that are this process's own: pages of trained rows, quantised matrices, all written matrices where they cannot be mapped. */
  readonly baseAnonymous: number;
  /** Kept for the backward pass, and what one layer or one chunk of the vocabulary product needs beside it. */
  readonly activations: number;
  readonly gradients: number;
  /** Updates, Adam's moments, base rows, temporaries of an update that do not fit into freed activations, copies for a checkpoint. */
  readonly optimizer: number;
  readonly total: number;
}

/** Code, workspaces and caches that the first steps add to `runtimeBytes` (measured: 15 to 40 MiB). */
const warmBytes = 25 * 2 ** 20;
const pageBytes = 4096;
/** Of an f32 matrix, with the scales. */
const heldShare: Readonly<Record<QuantizationName, number>> = { none: 1, bf16: 0.5, int8: 0.26, nf4: 0.145 };
/** Of freed memory that TensorFlow's pools hold in pieces too small for what comes next (measured: 2 to 6 %). */
const fragmentation = 1.05;

/** Trained numbers: an upper bound where a selection over layers rounds. Columns cost as many as rows of the other side. */
export function trainedNumbers({ config, rowSparse }: Pick<MemoryQuestion, 'config' | 'rowSparse'>): number {
  const { rows, channels } = rowSparse;
  return chosen({ config, rowSparse }).reduce((sum, linear) => {
    const { outFeatures, inFeatures } = linear;
    if (isHead(linear)) return sum + outFeatures * (inFeatures + 1);
    const byRows = channels === 'in' ? 0 : rowCount(rows, outFeatures) * inFeatures;
    const byColumns = channels === 'out' ? 0 : rowCount(rows, inFeatures) * outFeatures;
    return sum + byRows + byColumns;
  }, 0);
}

/** Within 10 % of the measured peak for f32 bases (`node bench/memory.mjs`). */
export function estimateMemory(question: MemoryQuestion): MemoryEstimate {
  const parameters = 4 * trainedNumbers(question);
  const activations = activationBytes(question) * fragmentation;
  // One stack while a micro-batch adds to it, one while its own are made.
  const gradients = parameters * (question.rowSparse.gradient_accumulation_steps > 1 ? 2 : 1);
  // Base rows, update and moments, and about one more that JavaScript has not collected yet.
  const held = 5 * parameters;
  // The fused step makes base + D; stock operators make three new buffers from at most three temporaries. The gradient is there too, activations are not.
  const updating = Math.max(0, (question.operators === 'fused' ? 1 : 7) * parameters - activations - gradients);
  // Copies of update and moments on the host, in memory that TensorFlow's pools do not give back.
  const saving = 4 * parameters;
  const { weightsMapped, baseAnonymous } = weightBytes(question);
  const parts = {
    runtime: question.runtimeBytes + warmBytes,
    weightsMapped,
    baseAnonymous,
    activations: Math.round(activations),
    gradients,
    optimizer: Math.round(held + updating + saving),
  };
  return { ...parts, total: Object.values(parts).reduce((sum, bytes) => sum + bytes, 0) };
}

/** Letters as in the package's README. */
function activationBytes(question: MemoryQuestion): number {
  const { config, rowSparse, memory, tokens, length, labelled, operators } = question;
  if (isEncoder(config)) return encoderActivationBytes(question);
  const { hidden_size: C, n_heads: H, n_kv_heads: K, head_dim: D, intermediate_size: F, n_layers: L, vocab_size: V } = config;
  const norms = (config.qk_norm ? (H + K) * D : 0) + (config.post_norms ? 2 * C : 0);
  const layer = 2 * C + 2 * H * D + 2 * K * D + H + 2 * F + norms;
  const lowest = rowSparse.layers[0];
  const kept = (L - lowest) * (memory === 'fast' ? layer : C);
  // Of the layer at hand: gradients of gate, up and their product, that product, and six of the model's width; stock operators keep more. And as much as
  // a layer keeps, of what the layer before has freed and nothing fits into yet (measured: 4,600 to 8,000 numbers a token, 2,048 to 8,192 tokens of SmolLM2).
  const beside = (operators === 'fused' ? 4 * F : 8 * F) + 6 * C + layer + (memory === 'low' ? layer : 0);
  const chunk = chunkRows(V);
  // Logits that become their own gradient in place, or logits beside their gradient.
  const logits = (operators === 'fused' ? Math.min(labelled, 2 * chunk) : 3 * Math.min(labelled, chunk)) * V;
  // Stock attention holds three blocks of probabilities; fused attention none.
  const probabilities = operators === 'fused' ? 0 : 3 * H * Math.min(256, length) * length;
  return 4 * (tokens * (kept + beside) + logits + probabilities);
}

/**
 * Attention holds four blocks of probabilities of at most 16 MiB, or of one sequence; stock operators, whatever else is fused. For BERT base, 16 x 128 tokens:
 * 0.985 of the measured peak with `memory` fast, 0.988 with low.
 */
function encoderActivationBytes({ config, rowSparse, memory, tokens, length }: MemoryQuestion): number {
  const { hidden_size: C, n_heads: H, intermediate_size: F, n_layers: L } = sizesOf(config);
  const layer = 7 * C + F;
  const kept = (L - rowSparse.layers[0]) * (memory === 'fast' ? layer : C);
  // Of the layer at hand: what its backward pass makes, and, where it is computed again, its forward pass with products before their biases.
  const beside = 8 * F + 20 * C + (memory === 'low' ? 3 * F + 20 * C : 0);
  const probabilities = 4 * Math.max(4 * H * length * length, Math.min(2 ** 24, 4 * H * tokens * length));
  return 4 * tokens * (kept + beside) + probabilities;
}

function weightBytes({ config, rowSparse, operators }: MemoryQuestion): Pick<MemoryEstimate, 'weightsMapped' | 'baseAnonymous'> {
  const shapes = [...shapesOfAny(config)].map(([name, shape]) => ({ name, bytes: shape.reduce((product, size) => product * size, 4) }));
  const all = shapes.reduce((sum, { bytes }) => sum + bytes, 0);
  const trained = chosen({ config, rowSparse });
  const written = new Set(trained.map(({ tensor }) => tensor));
  const writtenBytes = shapes.reduce((sum, { name, bytes }) => sum + (written.has(name) ? bytes : 0), 0);
  if (rowSparse.quantization !== 'none') {
    const matrices = shapes.filter(({ name }) => /layers\.\d+\.(qkv|o|gate_up|up|down)$/.test(name)).map(({ bytes }) => bytes);
    const quantised = matrices.reduce((sum, bytes) => sum + bytes * heldShare[rowSparse.quantization], 0);
    // Dequantised one at a time; what is trained lies over it in buffers of its own.
    const own = Math.round(quantised + Math.max(0, ...matrices) + 4 * trainedNumbers({ config, rowSparse }));
    return { weightsMapped: all - matrices.reduce((sum, bytes) => sum + bytes, 0), baseAnonymous: own };
  }
  if (operators === 'stock') return { weightsMapped: all - writtenBytes, baseAnonymous: writtenBytes };
  // A written row makes the pages it lies on this process's own; a column all pages of its matrix.
  const copied = trained.reduce((sum, { outFeatures, inFeatures }) => {
    const matrix = 4 * outFeatures * inFeatures;
    const rows = rowSparse.channels === 'out' ? rowCount(rowSparse.rows, outFeatures) * (4 * inFeatures + pageBytes) : matrix;
    return sum + Math.min(matrix, rows);
  }, 0);
  return { weightsMapped: all - copied, baseAnonymous: copied };
}

function chosen({ config, rowSparse: { targets, layers } }: Pick<MemoryQuestion, 'config' | 'rowSparse'>) {
  const [first, last] = layers;
  // A pooler and a classifier are trained whole.
  return linearsOfAny(config).filter(
    (linear) => isHead(linear) || (targets.some((name) => name === linear.target) && linear.layer >= first && linear.layer <= last),
  );
}
