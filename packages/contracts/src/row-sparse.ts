/** The `row_sparse` object of a job (api.md d.8): what the user may ask, and what it resolves to. */
import { type Static, type TLiteral, type TOptional, type TSchema, type TUnion, Type } from 'typebox';
import { nullable } from './errors.js';

/** The seven linears of a decoder block, in their Hugging Face names. */
export const targetNames = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'] as const;
export type TargetName = (typeof targetNames)[number];
/** Those that a layer of an encoder has: query, key, value, attention.output.dense, intermediate.dense and output.dense, under their counterparts' names. */
export const encoderTargetNames = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'up_proj', 'down_proj'] as const satisfies readonly TargetName[];

const auto = Type.Literal('auto');
const literals = <T extends readonly string[]>(values: T) => Type.Unsafe<T[number]>(Type.String({ enum: [...values] }));

export const scorerNames = ['l2', 'l1', 'random', 'wanda', 'taylor', 'taylor_multivariable', 'fisher', 'taylor2', 'zo_taylor'] as const;
export const selectionNames = ['per_layer', 'global'] as const;
export type SelectionName = (typeof selectionNames)[number];
export const channelsNames = ['out', 'in', 'both', 'coupled'] as const;
export type ChannelsName = (typeof channelsNames)[number];
export const scheduleNames = ['constant', 'linear', 'cosine', 'step'] as const;
export const trainOnNames = ['assistant', 'last', 'all'] as const;
export type ScorerName = (typeof scorerNames)[number];
export type ScheduleName = (typeof scheduleNames)[number];
export const exportNames = ['last', 'best'] as const;
export type ExportName = (typeof exportNames)[number];
export type TrainOn = (typeof trainOnNames)[number];
export const memoryNames = ['auto', 'fast', 'low'] as const;
export type MemoryName = (typeof memoryNames)[number];
export const quantizationNames = ['none', 'bf16', 'int8', 'nf4'] as const;
export const precisionNames = ['f32', 'bf16'] as const;
export type PrecisionName = (typeof precisionNames)[number];
export const executionNames = ['auto', 'eager', 'graph'] as const;
export type ExecutionName = (typeof executionNames)[number];
export type QuantizationName = (typeof quantizationNames)[number];

const Rows = Type.Union([
  Type.Integer({ minimum: 1, maximum: 1_000_000, description: 'selected rows per matrix' }),
  Type.Object(
    { ratio: Type.Number({ exclusiveMinimum: 0, maximum: 1 }), round_to: Type.Optional(Type.Integer({ minimum: 1, maximum: 4096 })) },
    { additionalProperties: false, description: 'floor(ratio x rows) of each matrix, rounded down to a multiple of round_to (default 4)' },
  ),
]);
const Scorer = literals(scorerNames);
const Targets = Type.Array(literals(targetNames), { minItems: 1, maxItems: 7, uniqueItems: true });
// Not a tuple: those are written differently in each dialect of JSON Schema, and tools that read the document trip over them.
const Layers = Type.Unsafe<[number, number]>(
  Type.Array(Type.Integer({ minimum: 0 }), { minItems: 2, maxItems: 2, description: 'first and last layer, both included' }),
);
const Schedule = literals(scheduleNames);
const TrainOnSchema = literals(trainOnNames);
const rate = Type.Number({ exclusiveMinimum: 0, maximum: 1 });
const fraction = Type.Number({ minimum: 0, maximum: 1 });

/** What the resolved configuration holds; every field of the request, no `auto` left. Units in the names or descriptions. */
const fields = {
  rows: Rows,
  scorer: Scorer,
  calibration_batches: Type.Integer({
    minimum: 1,
    maximum: 100_000,
    description: 'training batches that scorers other than l1, l2 and random look at; never more than there are',
  }),
  scoring_memory_mb: Type.Integer({
    minimum: 0,
    maximum: 1_000_000,
    description:
      'for sums of whole gradients (taylor, taylor2); less takes more passes, with the same result; 0 = about what training takes',
  }),
  zo_estimates: Type.Integer({ minimum: 1, maximum: 1000, description: 'zo_taylor: directions tried on each split of the batches' }),
  zo_splits: Type.Integer({
    minimum: 1,
    maximum: 100_000,
    description: 'zo_taylor: parts of the calibration batches, each with its own directions',
  }),
  zo_eps: Type.Number({
    exclusiveMinimum: 0,
    maximum: 1,
    description: 'zo_taylor: length of a step in units of its standard normal direction',
  }),
  selection: Type.Unsafe<SelectionName>(
    Type.String({
      enum: [...selectionNames],
      description: 'per_layer: each matrix gives its best rows; global: the best of all, so that a matrix may give none',
    }),
  ),
  channels: Type.Unsafe<ChannelsName>(
    Type.String({
      enum: [...channelsNames],
      description:
        'what `rows` counts: out: output rows of each matrix; in: input columns; both: as many of each; coupled: neurons of each dependency group (gate and up rows with down columns, v rows with o columns, q rows with k rows)',
    }),
  ),
  update_dropout: Type.Number({
    minimum: 0,
    exclusiveMaximum: 1,
    description: 'share of the inputs of the trained rows and columns that their update does not see, in training; 0 = off',
  }),
  train_biases: Type.Boolean({ description: 'the selected rows of a matrix that has a bias train their bias entries too' }),
  quantization: Type.Unsafe<QuantizationName>(
    Type.String({
      enum: [...quantizationNames],
      description:
        "how the base's weight matrices are held in memory: none: as they are (f32); bf16: rounded, half of that; int8: a quarter; nf4: an eighth. The selected rows and columns are in full precision whatever it is",
    }),
  ),
  double_quantization: Type.Boolean({ description: 'nf4: the scales of its blocks in 8 bits too, 0.127 instead of 0.5 bits a weight' }),
  precision: Type.Unsafe<PrecisionName>(
    Type.String({
      enum: [...precisionNames],
      description:
        'of the matrix products: f32; bf16: operands rounded to bfloat16, sums in f32 (as torch.autocast), about twice as fast where the processor has AVX512_BF16. Weights, the trained rows, their gradients and the optimizer stay in f32',
    }),
  ),
  head_groups: Type.Boolean({ description: 'each attention head of q_proj, k_proj and v_proj gives the same number of rows' }),
  heads: Type.Number({
    minimum: 0,
    maximum: 1,
    description: 'share of the attention heads of q_proj, k_proj and v_proj that is trained whole, instead of rows; 0 = off',
  }),
  reuse_rows_of: nullable(
    Type.String({
      minLength: 1,
      maxLength: 100,
      description: 'id of a job of the same base: its selected rows are trained, nothing is scored',
    }),
  ),
  targets: Targets,
  layers: Layers,
  learning_rate: rate,
  lr_schedule: Schedule,
  warmup_ratio: fraction,
  min_lr_ratio: fraction,
  weight_decay: Type.Number({ minimum: 0, maximum: 1, description: '0 = off; decays the update rows, not the base weights' }),
  max_grad_norm: Type.Number({ minimum: 0, maximum: 1000, description: '0 = no clipping' }),
  max_seq_length: Type.Integer({ minimum: 8, maximum: 131072, description: 'tokens' }),
  gradient_accumulation_steps: Type.Integer({ minimum: 1, maximum: 1024 }),
  max_steps: Type.Integer({ minimum: 0, maximum: 10_000_000, description: 'optimiser steps; 0 = as n_epochs says' }),
  eval_every_steps: Type.Integer({ minimum: 0, maximum: 10_000_000, description: '0 = only before the first and after the last step' }),
  checkpoint_every_seconds: Type.Number({ minimum: 0, maximum: 86400, description: '0 = after every step' }),
  keep_checkpoints: Type.Integer({ minimum: 1, maximum: 100 }),
  train_on: TrainOnSchema,
  packing: Type.Boolean({
    description: 'examples of a micro-batch run as one sequence without padding, each seeing itself alone; same steps and results',
  }),
  length_bucketing: Type.Boolean({ description: 'micro-batches of examples of similar length; each epoch still sees every example once' }),
  keep_best: Type.Boolean({
    description: 'a checkpoint at each lowest validation loss so far; the best one is never deleted while the job runs',
  }),
  export: literals(exportNames),
  early_stopping_patience: Type.Integer({
    minimum: 0,
    maximum: 1000,
    description: 'evaluations in a row without improvement that end the job; 0 = off',
  }),
  early_stopping_min_delta: Type.Number({
    minimum: 0,
    maximum: 100,
    description: 'nats per token by which validation loss must fall to count as improved',
  }),
  memory: Type.Unsafe<MemoryName>(
    Type.String({
      enum: [...memoryNames],
      description: 'fast keeps activations, low computes them again; auto: fast where it fits the worker',
    }),
  ),
  execution: Type.Unsafe<ExecutionName>(
    Type.String({
      enum: [...executionNames],
      description:
        'eager: operator by operator; graph: each shape of a micro-step as one TensorFlow graph, padded to a bucket of sizes; auto: graph on a GPU, else eager. Their results differ by rounding: a checkpoint is resumed by the kind that made it',
    }),
  ),
  sample_every_evals: Type.Integer({
    minimum: 0,
    maximum: 10_000,
    description: 'sample prompts are answered at every n-th evaluation too; 0 = off',
  }),
  sample_temperature: Type.Number({ minimum: 0, maximum: 10, description: '0 = greedy' }),
  sample_top_k: Type.Integer({ minimum: 0, maximum: 1_000_000, description: 'of the k likeliest tokens; 0 = of all' }),
  sample_top_p: Type.Number({
    exclusiveMinimum: 0,
    maximum: 1,
    description: 'of the fewest tokens that hold this share of probability; 1 = of all',
  }),
  warm_start_from: nullable(
    Type.String({
      minLength: 1,
      maxLength: 100,
      description: 'id of a succeeded job or of a checkpoint of the same base: its rows and updates are the start',
    }),
  ),
};

export const attentionRowsNames = ['separate', 'shared'] as const;
export type AttentionRowsName = (typeof attentionRowsNames)[number];
const AttentionRows = Type.Unsafe<AttentionRowsName>(
  Type.String({
    enum: [...attentionRowsNames],
    description:
      'shared: q_proj, k_proj and v_proj of a layer train the same rows, chosen by the mean of their normalised scores; default separate',
  }),
);

export const labelAggregationNames = ['max', 'mean', 'quantiles_avg', 'greater_quantiles_avg', 'topk_avg', 'topk_mean_avg'] as const;
export type LabelAggregationName = (typeof labelAggregationNames)[number];
const LabelAggregation = Type.Unsafe<LabelAggregationName>(
  Type.String({
    enum: [...labelAggregationNames],
    description:
      'of a classifier: rows are scored class by class (calibration_batches of each) and their scores brought together so; default: all examples at once',
  }),
);

export const RowSparseConfig = Type.Object(
  {
    ...fields,
    attention_rows: Type.Optional(AttentionRows),
    label_aggregation: Type.Optional(LabelAggregation),
    sample_prompts: Type.Array(Type.String({ minLength: 1, maxLength: 8192 }), { maxItems: 16 }),
    sample_max_tokens: Type.Integer({ minimum: 1, maximum: 1024 }),
  },
  { additionalProperties: false },
);
export type RowSparseConfig = Static<typeof RowSparseConfig>;

/** Every field of the configuration may be left out or be "auto". */
const requested = <F extends Record<string, TSchema>>(of: F) =>
  Object.fromEntries(Object.entries(of).map(([name, schema]) => [name, Type.Optional(Type.Union([auto, schema]))])) as {
    [K in keyof F]: TOptional<TUnion<[TLiteral<'auto'>, F[K]]>>;
  };

export const RowSparseRequest = Type.Object(
  {
    ...requested(fields),
    attention_rows: Type.Optional(Type.Union([auto, AttentionRows])),
    label_aggregation: Type.Optional(Type.Union([auto, LabelAggregation])),
    sample_prompts: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 8192 }), {
        maxItems: 16,
        description: 'answered by the base before training and by the tuned model after it; shown as events',
      }),
    ),
    sample_max_tokens: Type.Optional(Type.Union([auto, Type.Integer({ minimum: 1, maximum: 1024 })])),
  },
  { additionalProperties: false },
);
export type RowSparseRequest = Static<typeof RowSparseRequest>;
