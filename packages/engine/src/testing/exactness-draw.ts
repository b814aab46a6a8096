/** For tests of exactness: configurations drawn at random. */
import {
  channelsNames,
  type PrecisionName,
  type QuantizationName,
  type RowSparseConfig,
  scheduleNames,
  scorerNames,
  selectionNames,
} from '@rowsmith/contracts';
import fc from 'fast-check';
import { toyRowSparse } from '../train/toy-run.js';

type Memory = 'fast' | 'low';

/** Plain Llama with biases; what Gemma and Qwen3 add; BERT with a classifier. */
export type Architecture = 'llama' | 'gemma' | 'encoder';

export interface Draw {
  readonly architecture: Architecture;
  readonly rowSparse: Partial<RowSparseConfig>;
  readonly operators: 'fused' | 'stock';
  readonly seed: number;
  readonly batch: number;
  readonly epochs: number;
  /** Starts from updates other than zero. */
  readonly warm: boolean;
  /** Of the uninterrupted run, and of what goes on after each interruption: all must give the same. */
  readonly memory: readonly [Memory, Memory, Memory];
  /**
   * After which share of the micro-steps, and how: `stop` by the signal, in the middle of a window or an evaluation; `kill` right after a checkpoint, so that nothing
   * that follows it is seen.
   */
  readonly interruptions: readonly { readonly at: number; readonly how: 'stop' | 'kill' }[];
}

const pick = <T>(...values: readonly T[]) => fc.constantFrom(...values);

const rowSparseDraw: fc.Arbitrary<Partial<RowSparseConfig>> = fc.record({
  channels: pick(...channelsNames),
  scorer: pick(...scorerNames),
  selection: pick(...selectionNames),
  rows: pick<RowSparseConfig['rows']>(1, 3, { ratio: 0.2, round_to: 1 }),
  targets: pick<RowSparseConfig['targets']>(toyRowSparse.targets, ['q_proj', 'v_proj', 'down_proj'], ['up_proj']),
  layers: pick<[number, number]>([0, 1], [1, 1]),
  head_groups: fc.boolean(),
  train_biases: fc.boolean(),
  quantization: pick<QuantizationName>('none', 'bf16', 'int8', 'nf4'),
  double_quantization: fc.boolean(),
  precision: pick<PrecisionName>('f32', 'f32', 'bf16'),
  update_dropout: pick(0, 0.2),
  packing: fc.boolean(),
  length_bucketing: fc.boolean(),
  gradient_accumulation_steps: pick(1, 2, 3),
  max_steps: pick(0, 0, 5),
  lr_schedule: pick(...scheduleNames),
  warmup_ratio: pick(0, 0.3),
  min_lr_ratio: pick(0, 0.1),
  learning_rate: pick(0.02, 0.2),
  max_grad_norm: pick(0, 0.1, 1),
  weight_decay: pick(0, 0.1),
  eval_every_steps: pick(0, 1, 2),
  keep_best: fc.boolean(),
  early_stopping_patience: pick(0, 1, 2, 3),
  early_stopping_min_delta: pick(0, 0.2),
});

/** Settings that exclude each other are refused where a job is made: here the later one gives way. */
function allowed(config: Partial<RowSparseConfig>, architecture: Architecture): Partial<RowSparseConfig> {
  const { channels, selection, quantization } = config;
  const encoder = architecture === 'encoder';
  const targets = (config.targets ?? []).filter((name) => !encoder || name !== 'gate_proj');
  const rowsAlone = channels === 'out' && selection === 'per_layer';
  const biased = (channels === 'out' || channels === 'both') && selection === 'per_layer' && targets.some((name) => name === 'q_proj');
  return {
    ...config,
    targets,
    packing: config.packing === true && !encoder,
    head_groups: rowsAlone && config.head_groups === true && config.rows !== 1,
    train_biases: biased && config.train_biases === true,
    double_quantization: quantization === 'nf4' && config.double_quantization === true,
    calibration_batches: 2,
  };
}

export const draws: fc.Arbitrary<Draw> = fc
  .record({
    architecture: pick<Architecture>('llama', 'llama', 'gemma', 'encoder'),
    rowSparse: rowSparseDraw,
    operators: pick('fused' as const, 'fused' as const, 'stock' as const),
    seed: fc.integer({ min: 0, max: 1000 }),
    batch: pick(1, 2, 3),
    epochs: pick(1, 2),
    warm: pick(false, false, true),
    memory: fc.tuple(pick<Memory>('fast', 'low'), pick<Memory>('fast', 'low'), pick<Memory>('fast', 'low')),
    interruptions: fc.array(fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), how: pick('stop' as const, 'kill' as const) }), {
      minLength: 1,
      maxLength: 2,
    }),
  })
  .map((draw) => ({ ...draw, rowSparse: allowed(draw.rowSparse, draw.architecture) }));
