/**
 * What a job will cost, from sizes alone: a forecast to choose settings by, not a promise. Everything that goes in is in the answer.
 *
 * Memory: f32 weights (mapped from disk, but wanted in memory to be fast), three copies of the trained rows (update, Adam's two moments) and one of
 * their gradient, activations of one batch, and the logits of one chunk. Work: 2 multiply-adds a weight and token forward, 2 backward for the
 * gradient of the inputs; the gradient of a few rows is small beside them, so about 4 times parameters times tokens floating-point operations,
 * and attention's 4 x layers x width x length a token in each direction.
 *
 * Encoders (BERT): their embeddings are looked up, not multiplied, every token attends to all others, and there are no logits; what a layer keeps is that of
 * the engine's encoder, 7 widths and one feed-forward a token (within 2 % of BERT base's peak), beside it what its backward pass makes.
 */
import type { TrainingSpeed } from './ports.js';

export interface EstimateFacts {
  readonly parameters: number;
  readonly weightsBytes: number;
  readonly hidden: number;
  readonly intermediate: number;
  readonly layers: number;
  readonly heads: number;
  readonly vocabulary: number;
  /** Trained values: sum of rows x width over all modules. */
  readonly trainable: number;
  readonly batch: number;
  /** Longest sequence of a batch, tokens. */
  readonly length: number;
  readonly tokens: number;
  /** Tokens of the validation data times the evaluations. */
  readonly evaluationTokens: number;
  readonly lowMemory: boolean;
  readonly encoder: boolean;
}
export interface DeviceClass {
  readonly name: string;
  readonly memoryBytes: number;
  /** Floating-point operations a second that training reaches, low and high. */
  readonly flops: readonly [number, number];
}
export interface JobMemory {
  readonly weights: number;
  readonly trained: number;
  readonly activations: number;
  readonly logits: number;
  /** Runtime, allocator and tokenizer. */
  readonly overhead: number;
  readonly total: number;
}

const f32 = 4;
const overheadBytes = 400 * 2 ** 20;
const logitChunkRows = 512;

/** Bytes at the peak. Fast keeps every layer's intermediate values, low keeps each layer's input and recomputes one layer. */
export function memoryOf(facts: EstimateFacts): JobMemory {
  const { batch, length, vocabulary, trainable } = facts;
  const activations = facts.encoder ? encoderActivations(facts) : decoderActivations(facts);
  const logits = facts.encoder ? 0 : 2 * Math.min(batch * length, logitChunkRows) * vocabulary * f32;
  const trained = 4 * trainable * f32;
  const { weightsBytes: weights } = facts;
  return {
    weights,
    trained,
    activations,
    logits,
    overhead: overheadBytes,
    total: weights + trained + activations + logits + overheadBytes,
  };
}

function decoderActivations({ batch, length, hidden, intermediate, layers, heads, lowMemory }: EstimateFacts): number {
  const positions = batch * length;
  const input = positions * hidden * f32;
  const inside = positions * (8 * hidden + 3 * intermediate) * f32 + batch * heads * length * length * f32;
  return lowMemory ? layers * input + inside : layers * (input + inside);
}

/** Attention holds four blocks of probabilities of at most 16 MiB, or of one sequence. */
function encoderActivations({ batch, length, hidden, intermediate, layers, heads, lowMemory }: EstimateFacts): number {
  const positions = batch * length;
  const layer = 7 * hidden + intermediate;
  const kept = layers * (lowMemory ? hidden : layer);
  const beside = 8 * intermediate + 20 * hidden + (lowMemory ? 3 * intermediate + 20 * hidden : 0);
  const probabilities = 4 * Math.max(f32 * heads * length * length, Math.min(2 ** 24, f32 * heads * positions * length));
  return f32 * positions * (kept + beside) + probabilities;
}

/** Of a token: forward, and training. */
function workOfToken({ parameters, vocabulary, layers, hidden, length, lowMemory, encoder }: EstimateFacts) {
  const multiplied = encoder ? Math.max(0, parameters - vocabulary * hidden) : parameters;
  const forward = 2 * multiplied + 4 * layers * hidden * (encoder ? length : length / 2);
  return { forward, training: 2 * forward + (lowMemory ? forward : 0) };
}

/** Floating-point operations of training and evaluating. */
export function workOf(facts: EstimateFacts): number {
  const { forward, training } = workOfToken(facts);
  return facts.tokens * training + facts.evaluationTokens * forward;
}

/** Seconds by what was measured: tokens of evaluations cost as much as their share of a training token's work. */
export function measuredSeconds(facts: EstimateFacts, speed: Pick<TrainingSpeed, 'slowest' | 'fastest' | 'overheadSeconds'>) {
  const { forward, training } = workOfToken(facts);
  const tokens = facts.tokens + (facts.evaluationTokens * forward) / training;
  const at = (rate: number) => Math.ceil(speed.overheadSeconds + tokens / rate);
  return { low: at(speed.fastest * (1 + measuredSpread)), high: at(speed.slowest * (1 - measuredSpread)) };
}
/** Other rows, lengths and batches than those that were measured. */
const measuredSpread = 0.2;

/** Machines of a kind, by what a job may use of one. */
export const deviceClasses: readonly DeviceClass[] = [
  { name: 'cpu-2-cores-8gb', memoryBytes: 8e9, flops: [2e10, 8e10] },
  { name: 'cpu-16-cores-64gb', memoryBytes: 64e9, flops: [1.5e11, 6e11] },
  { name: 'cuda-24gb', memoryBytes: 24e9, flops: [5e12, 2e13] },
  { name: 'cuda-80gb', memoryBytes: 80e9, flops: [1e13, 5e13] },
];
