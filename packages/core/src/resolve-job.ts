/** Turns every "auto" of a job into a value; the resolved values are stored and shown with the job. Pure. */
import {
  type CreateJobBody,
  type Hyperparameters,
  type LabelAggregationName,
  type RowSparseConfig,
  type RowSparseRequest,
  targetNames,
} from '@rowsmith/contracts';
import { channelsFault, choicesOf, resolveChannels } from './channels.js';
import {
  type AutoFields,
  attentionRowsFault,
  encoderDefaults,
  encoderFault,
  encoderHyperparameters,
  encoderSeqLength,
  labelAggregationFault,
} from './encoder-jobs.js';
import { given } from './given.js';
import { resolveScoring, reuseFault, scoringFault, withReusedChoice } from './row-choice.js';

export interface JobFacts {
  readonly trainingExamples: number;
  /** null: no validation file. */
  readonly validationExamples: number | null;
  readonly model: {
    /** An encoder with a classifier; absent: a decoder. */
    readonly encoder?: boolean;
    readonly layers: number;
    readonly maxPositions: number;
    readonly rowsOf: Readonly<Record<(typeof targetNames)[number], number>>;
    readonly heads: number;
    readonly kvHeads: number;
  };
  /** Settings of the job whose rows `reuse_rows_of` asks for; undefined: none is asked for, or there is no such job. */
  readonly reuse?: RowSparseConfig | undefined;
  /** Used when the user gives no seed. */
  readonly randomSeed: number;
}
export interface ResolvedJob {
  readonly seed: number;
  readonly hyperparameters: Hyperparameters;
  readonly rowSparse: RowSparseConfig;
  readonly totalSteps: number;
}
/** A rule across fields, or one that depends on the model, is broken. `param`: JSON path. */
export interface JobFault {
  readonly param: string;
  readonly message: string;
}

export const baseLearningRate = 1e-3;
const decoderDefaults = {
  ...{ rows: 16, scorer: 'l2' as const, targets: targetNames },
  ...{ learning_rate: baseLearningRate, weight_decay: 0, packing: true },
} satisfies AutoFields;
/** Examples seen in all epochs together above which `n_epochs: "auto"` takes fewer. */
const autoExamplesSeen = 10_000;
const autoMaxSeqLength = 1024;

function hyperparametersOf(body: CreateJobBody, examples: number, encoder: boolean): Hyperparameters {
  // The top-level object is OpenAI's older form.
  const asked = { ...body.hyperparameters, ...body.method?.supervised?.hyperparameters };
  const fewer = Math.min(3, Math.max(1, Math.floor(autoExamplesSeen / Math.max(1, examples))));
  const auto = encoder ? encoderHyperparameters(examples) : { n_epochs: fewer, batch_size: Math.max(1, Math.min(4, examples)) };
  return {
    n_epochs: given(asked.n_epochs) ?? auto.n_epochs,
    batch_size: given(asked.batch_size) ?? auto.batch_size,
    learning_rate_multiplier: given(asked.learning_rate_multiplier) ?? 1,
  };
}

/** Neither place may say something that is then dropped. */
function hyperparametersFault({ hyperparameters: old, method }: CreateJobBody): JobFault | null {
  const named = method?.supervised?.hyperparameters;
  for (const name of ['n_epochs', 'batch_size', 'learning_rate_multiplier'] as const) {
    const [before, now] = [given(old?.[name]), given(named?.[name])];
    if (before === undefined || now === undefined || before === now) continue;
    const param = `hyperparameters.${name}`;
    return { param, message: `'${param}' is ${before} and 'method.supervised.${param}' is ${now}; give one of them.` };
  }
  return null;
}

/** Optimiser steps of a job; the last step of an epoch takes what is left; `max_steps` above 0 wins over the epochs. Equals the engine's own plan. */
export function stepsOf(examples: number, batch: number, accumulation: number, epochs: number, maxSteps: number): number {
  const steps = Math.ceil(Math.ceil(examples / batch) / accumulation) * epochs;
  return maxSteps > 0 ? maxSteps : steps;
}

const labelAggregationOf = (asked: RowSparseRequest): { readonly label_aggregation?: LabelAggregationName } => {
  const kind = given(asked.label_aggregation);
  return kind === undefined ? {} : { label_aggregation: kind };
};

export function resolveJob(body: CreateJobBody, facts: JobFacts): ResolvedJob | { readonly fault: JobFault } {
  const encoder = facts.model.encoder === true;
  const auto: AutoFields = encoder ? encoderDefaults : decoderDefaults;
  const hyperparameters = hyperparametersOf(body, facts.trainingExamples, encoder);
  const request: RowSparseRequest = body.row_sparse ?? {};
  const asked = withReusedChoice(request, facts);
  const batches = Math.ceil(facts.trainingExamples / hyperparameters.batch_size);
  const { model } = facts;
  const layers = given(asked.layers) ?? ([0, model.layers - 1] as [number, number]);
  const maxSeqLength = given(asked.max_seq_length) ?? Math.min(encoder ? encoderSeqLength : autoMaxSeqLength, model.maxPositions);
  const accumulation = given(asked.gradient_accumulation_steps) ?? 1;
  const maxSteps = given(asked.max_steps) ?? 0;
  const totalSteps = stepsOf(facts.trainingExamples, hyperparameters.batch_size, accumulation, hyperparameters.n_epochs, maxSteps);
  const rowSparse: RowSparseConfig = {
    rows: given(asked.rows) ?? auto.rows,
    scorer: given(asked.scorer) ?? auto.scorer,
    ...resolveScoring(asked, batches),
    ...resolveChannels(asked),
    quantization: given(asked.quantization) ?? 'none',
    double_quantization: given(asked.double_quantization) ?? false,
    precision: given(asked.precision) ?? 'f32',
    execution: given(asked.execution) ?? 'auto',
    targets: given(asked.targets) ?? [...auto.targets],
    ...(given(asked.attention_rows) === 'shared' && { attention_rows: 'shared' as const }),
    ...labelAggregationOf(asked),
    layers,
    learning_rate: given(asked.learning_rate) ?? auto.learning_rate,
    lr_schedule: given(asked.lr_schedule) ?? 'linear',
    warmup_ratio: given(asked.warmup_ratio) ?? 0.05,
    min_lr_ratio: given(asked.min_lr_ratio) ?? 0,
    weight_decay: given(asked.weight_decay) ?? auto.weight_decay,
    max_grad_norm: given(asked.max_grad_norm) ?? 1,
    max_seq_length: maxSeqLength,
    gradient_accumulation_steps: accumulation,
    max_steps: maxSteps,
    eval_every_steps: given(asked.eval_every_steps) ?? (facts.validationExamples === null ? 0 : Math.max(1, Math.ceil(totalSteps / 10))),
    checkpoint_every_seconds: given(asked.checkpoint_every_seconds) ?? 30,
    keep_checkpoints: given(asked.keep_checkpoints) ?? 3,
    train_on: given(asked.train_on) ?? 'assistant',
    packing: given(asked.packing) ?? auto.packing,
    length_bucketing: given(asked.length_bucketing) ?? false,
    keep_best: given(asked.keep_best) ?? facts.validationExamples !== null,
    export: given(asked.export) ?? 'last',
    early_stopping_patience: given(asked.early_stopping_patience) ?? 0,
    early_stopping_min_delta: given(asked.early_stopping_min_delta) ?? 0,
    // Which of the two fits is known where it runs.
    memory: asked.memory ?? 'auto',
    sample_every_evals: given(asked.sample_every_evals) ?? 0,
    sample_temperature: given(asked.sample_temperature) ?? 0,
    sample_top_k: given(asked.sample_top_k) ?? 0,
    sample_top_p: given(asked.sample_top_p) ?? 1,
    warm_start_from: given(asked.warm_start_from) ?? null,
    sample_prompts: asked.sample_prompts ?? [],
    sample_max_tokens: given(asked.sample_max_tokens) ?? 64,
  };
  const fault =
    hyperparametersFault(body) ??
    reuseFault(request, facts) ??
    encoderFault(request, rowSparse, facts) ??
    faultOf(rowSparse, facts) ??
    channelsFault(rowSparse, facts) ??
    quantizationFault(rowSparse) ??
    scoringFault(rowSparse, facts, batches) ??
    attentionRowsFault(rowSparse, facts) ??
    labelAggregationFault(rowSparse, facts) ??
    evaluationFault(rowSparse, facts) ??
    warmStartFault(asked, rowSparse);
  return fault ? { fault } : { seed: body.seed ?? facts.randomSeed, hyperparameters, rowSparse, totalSteps };
}

function faultOf(config: RowSparseConfig, { model, trainingExamples }: JobFacts): JobFault | null {
  const [first, last] = config.layers;
  if (last >= model.layers)
    return { param: 'row_sparse.layers', message: `The model has the layers 0 to ${model.layers - 1}; layer ${last} was asked for.` };
  if (first > last)
    return {
      param: 'row_sparse.layers',
      message: `The layer range [${first}, ${last}] is empty: the first layer must not be above the last.`,
    };
  if (config.max_seq_length > model.maxPositions) {
    return {
      param: 'row_sparse.max_seq_length',
      message: `The model takes at most ${model.maxPositions} tokens; ${config.max_seq_length} were asked for.`,
    };
  }
  if (trainingExamples < 1) return { param: 'training_file', message: 'The training file has no examples.' };
  if (typeof config.rows === 'object' && config.selection === 'per_layer') {
    const { ratio, round_to: roundTo = 4 } = config.rows;
    const selected = choicesOf(config, model).map((choices) => Math.floor(ratio * choices + 1e-9));
    if (selected.every((rows) => rows - (rows % roundTo) === 0)) {
      return {
        param: 'row_sparse.rows',
        message: `The ratio ${ratio}, rounded down to multiples of ${roundTo}, selects no row or column of any target.`,
      };
    }
  }
  return null;
}

function quantizationFault({ quantization, double_quantization }: RowSparseConfig): JobFault | null {
  if (!double_quantization || quantization === 'nf4') return null;
  return {
    param: 'row_sparse.double_quantization',
    message: `Only the blocks of 'nf4' have scales to quantise again; quantization is '${quantization}'.`,
  };
}

/** What needs a validation loss needs a validation file. */
function evaluationFault(config: RowSparseConfig, { validationExamples }: JobFacts): JobFault | null {
  const { keep_best, export: exported, early_stopping_patience: patience } = config;
  if (validationExamples === null) {
    const missing = (param: string, what: string) => ({ param: `row_sparse.${param}`, message: `${what} needs a validation_file.` });
    if (keep_best) return missing('keep_best', 'The best checkpoint is the one with the lowest validation loss: keep_best');
    if (exported === 'best') return missing('export', "The adapter of the lowest validation loss: export 'best'");
    if (patience > 0) return missing('early_stopping_patience', 'early_stopping_patience');
  }
  if (exported === 'best' && !keep_best)
    return { param: 'row_sparse.keep_best', message: "export 'best' needs the best checkpoint: leave keep_best out or set it to true." };
  if (patience > 0 && config.eval_every_steps === 0)
    return {
      param: 'row_sparse.early_stopping_patience',
      message: 'Early stopping needs evaluations during training: set eval_every_steps.',
    };
  if (config.sample_every_evals > 0 && config.sample_prompts.length === 0)
    return { param: 'row_sparse.sample_every_evals', message: 'There are no sample_prompts to answer.' };
  if (config.sample_every_evals > 0 && validationExamples === null)
    return { param: 'row_sparse.sample_every_evals', message: 'Without a validation_file there are no evaluations to sample at.' };
  return null;
}

/** The rows come from the start: a choice of rows beside it would silently mean nothing. */
function warmStartFault(asked: RowSparseRequest, { warm_start_from: from }: RowSparseConfig): JobFault | null {
  if (from === null) return null;
  const chosen = (['rows', 'channels', 'scorer', 'targets', 'layers'] as const).find((name) => given(asked[name]) !== undefined);
  return chosen ? { param: `row_sparse.${chosen}`, message: `warm_start_from brings its own rows: leave ${chosen} out.` } : null;
}
