import { createHash } from 'node:crypto';
import type { CheckpointState, EncodedExample, RowSparseConfig } from '@rowsmith/contracts';
import { type Engine, openEngine } from '../engine.js';
import type { CausalLM } from '../models/causal-lm.js';
import { createCausalLM } from '../models/decoder.js';
import { tinyConfig, tinyModel } from '../models/tiny-model.js';
import { planFromIndices } from '../rows/plan-from-indices.js';
import { planRows } from '../rows/plan-rows.js';
import { philox } from '../runtime/philox.js';
import { train } from './train.js';
import type { TrainEvent, TrainInput } from './types.js';

/** For tests: after a prompt of a random token, the answer counts upwards from it. Lengths 5 to 9; the prompt is not labelled. */
export function countingExamples(count: number, seed: number): EncodedExample[] {
  return Array.from({ length: count }, (_, i) => {
    const random = philox(seed, 'counting', i);
    const first = 3 + random.below(tinyConfig.vocab_size - 12);
    const ids = Int32Array.from({ length: 5 + random.below(5) }, (_, t) => first + t);
    return { ids, labels: ids.map((id, t) => (t === 0 ? -100 : id)) };
  });
}

export const toyRowSparse: RowSparseConfig = {
  rows: 8,
  scorer: 'l2',
  calibration_batches: 50,
  scoring_memory_mb: 0,
  zo_estimates: 2,
  zo_splits: 1,
  zo_eps: 1e-3,
  selection: 'per_layer',
  channels: 'out',
  update_dropout: 0,
  train_biases: false,
  quantization: 'none',
  double_quantization: false,
  precision: 'f32',
  execution: 'auto',
  head_groups: false,
  heads: 0,
  reuse_rows_of: null,
  targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
  layers: [0, 1],
  learning_rate: 0.02,
  lr_schedule: 'linear',
  warmup_ratio: 0.1,
  min_lr_ratio: 0,
  weight_decay: 0.01,
  max_grad_norm: 1,
  max_seq_length: 16,
  gradient_accumulation_steps: 1,
  max_steps: 0,
  eval_every_steps: 0,
  checkpoint_every_seconds: 0,
  keep_checkpoints: 1,
  train_on: 'assistant',
  packing: true,
  length_bucketing: false,
  keep_best: false,
  export: 'last',
  early_stopping_patience: 0,
  early_stopping_min_delta: 0,
  memory: 'auto',
  sample_every_evals: 0,
  sample_temperature: 0,
  sample_top_k: 0,
  sample_top_p: 1,
  warm_start_from: null,
  sample_prompts: [],
  sample_max_tokens: 8,
};

export interface ToyChange extends Partial<Omit<TrainInput, 'hyperparameters' | 'rowSparse'>> {
  readonly rowSparse?: Partial<RowSparseConfig>;
  readonly batch?: number;
  readonly epochs?: number;
}

/** A complete input on a new tiny model; the clock counts calls. */
export function toyInput(engine: Engine, { rowSparse, batch = 4, epochs = 1, ...change }: ToyChange = {}): TrainInput {
  const model = change.model ?? createCausalLM(engine.ops, tinyModel(41));
  const settings = { ...toyRowSparse, ...rowSparse };
  const seed = change.seed ?? 1;
  let calls = 0;
  return {
    engine,
    model,
    plan:
      change.plan ??
      (change.resume
        ? planFromIndices(model, change.resume.indices, change.resume.columns, change.resume.biases)
        : planRows(engine, model, settings, seed)),
    trainExamples: countingExamples(16, 5),
    validExamples: [],
    seed,
    hyperparameters: { n_epochs: epochs, batch_size: batch, learning_rate_multiplier: 1 },
    clock: () => 1000 * calls++,
    ...change,
    rowSparse: settings,
  };
}

export async function eventsOf(input: TrainInput): Promise<TrainEvent[]> {
  const events: TrainEvent[] = [];
  for await (const event of train(input)) events.push(event);
  return events;
}

/** Every bit of a state. */
export function stateText({ step, buffers, indices, columns, biases, cursor }: CheckpointState): string {
  const base64 = (data: Float32Array) => Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64');
  return JSON.stringify({
    step,
    buffers: Array.from(buffers, ([name, { shape, data }]) => [name, shape, base64(data)]),
    indices: Array.from(indices, ([name, rows]) => [name, [...rows]]),
    ...(columns && { columns: Array.from(columns, ([name, of]) => [name, [...of]]) }),
    ...(biases && { biases }),
    cursor,
  });
}

export function stateFromText(text: string): CheckpointState {
  const { step, buffers, indices, columns, biases, cursor } = JSON.parse(text) as {
    step: number;
    buffers: [string, number[], string][];
    indices: [string, number[]][];
    columns?: [string, number[]][];
    biases?: string[];
    cursor: Record<string, number>;
  };
  const floats = (base64: string) => new Float32Array(Uint8Array.from(Buffer.from(base64, 'base64')).buffer);
  return {
    step,
    buffers: new Map(buffers.map(([name, shape, data]) => [name, { shape, data: floats(data) }])),
    indices: new Map(indices.map(([name, rows]) => [name, Int32Array.from(rows)])),
    ...(columns && { columns: new Map(columns.map(([name, of]) => [name, Int32Array.from(of)])) }),
    ...(biases && { biases }),
    cursor,
  };
}

export const digest = (text: string): string => createHash('sha256').update(text).digest('hex');

/** 10 examples, batch 2, accumulation 2: steps of 4, 4 and 2 examples; 3 epochs = 9 steps. Step 4 lies in the middle of the second epoch. */
const resumable = (model: CausalLM | undefined): ToyChange => ({
  ...(model && { model }),
  trainExamples: countingExamples(10, 6),
  validExamples: countingExamples(3, 7),
  rowSparse: { rows: 3, gradient_accumulation_steps: 2, eval_every_steps: 2, lr_schedule: 'cosine' },
  batch: 2,
  epochs: 3,
});

export async function uninterrupted(engine: Engine): Promise<TrainEvent[]> {
  return eventsOf(toyInput(engine, resumable(undefined)));
}

/** In a new process: stops in the second micro-step of step 5, as a handback would. Returns the state after step 4. */
export async function firstPart(): Promise<string> {
  const stop = new AbortController();
  const input = toyInput(await openEngine(), { ...resumable(undefined), signal: stop.signal });
  const { lossAndGrads } = input.model;
  let microSteps = 0;
  input.model.lossAndGrads = (...call) => {
    if (++microSteps === 8) stop.abort();
    return lossAndGrads.apply(input.model, call);
  };
  const last = (await eventsOf(input)).at(-1);
  if (last?.type !== 'stopped') throw new Error(`ended with ${last?.type}`);
  return stateText(last.state);
}

/** In a new process: goes on from `firstPart`. Returns every event since, as text. */
export async function secondPart(state: string): Promise<string> {
  return eventsText(await eventsOf(toyInput(await openEngine(), { ...resumable(undefined), resume: stateFromText(state) })));
}

/** Without `seconds`, which may differ; floats in full. */
export function eventsText(events: readonly TrainEvent[]): string {
  const lines = events.map((event) => {
    if (event.type === 'step' || event.type === 'evaluation') return JSON.stringify({ ...event, point: { ...event.point, seconds: null } });
    if (event.type === 'early_stop') return JSON.stringify(event);
    const { state, ...rest } = event;
    return `${JSON.stringify(rest, (_, value: unknown) => (value instanceof Map ? [...value.keys()] : value))} ${digest(stateText(state))}`;
  });
  return lines.join('\n');
}
