/** What a job will cost, before anything is queued. */
import {
  type CreateJobBody,
  isEncoder,
  type JobEstimate,
  type ProjectId,
  sizesOf,
  type TokenCounts,
  targetNames,
} from '@rowsmith/contracts';
import {
  deviceClasses,
  type EstimateFacts,
  type FileRecord,
  isOfKind,
  type JobStore,
  measuredSeconds,
  memoryOf,
  type ObjectStore,
  workOf,
} from '@rowsmith/core';
import type { TokenCounter } from '../models/token-counter.js';
import { type Admission, type AdmissionDeps, admitJob, modelFacts } from './admit-job.js';

export interface EstimateDeps extends AdmissionDeps {
  readonly jobs: Pick<JobStore, 'get' | 'checkpoint' | 'speeds'>;
  readonly objects: Pick<ObjectStore, 'get' | 'getBytes'>;
  readonly tokens: TokenCounter;
}

/** English JSON lines: about four bytes a token, markup included. Used where the model has no tokenizer that can be loaded. */
const bytesPerToken = 4;

interface Lengths {
  /** Tokens of an example after truncation. */
  readonly mean: number;
  readonly longest: number;
  readonly basis: JobEstimate['tokens']['basis'];
}

function lengthsOf(counts: readonly (TokenCounts | null)[], files: readonly FileRecord[], maxSeqLength: number): Lengths {
  const counted = counts.filter((c) => c !== null);
  const examples = counted.reduce((sum, c) => sum + c.examples, 0);
  if (examples === 0 || counted.length < counts.length) {
    const rows = files.reduce((sum, { examples: n }) => sum + (n ?? 0), 0);
    const mean = files.reduce((sum, { bytes }) => sum + bytes, 0) / bytesPerToken / Math.max(1, rows);
    return { mean: Math.min(maxSeqLength, mean), longest: maxSeqLength, basis: 'bytes' };
  }
  const whole = counted.every((c) => c.complete);
  const longest = Math.max(...counted.map((c) => c.max));
  // What is over the limit of long examples is not known from the sums; the limit bounds the mean.
  const mean = Math.min(maxSeqLength, counted.reduce((sum, c) => sum + c.total, 0) / examples);
  return { mean, longest: Math.min(maxSeqLength, longest), basis: whole ? 'counted' : 'sampled' };
}

/** As much of a job as its size depends on. */
type Planned = Pick<Admission, 'model' | 'settings' | 'trainingExamples' | 'validationExamples'>;

/** Values that are trained: rows of the targets in the chosen layers, each as wide as its input. */
function trainableOf({ model, settings }: Planned): number {
  const config = sizesOf(model.config);
  const { rows, targets, layers } = settings.rowSparse;
  const { rowsOf } = modelFacts(model);
  const widthOf = (target: (typeof targetNames)[number]) =>
    target === 'down_proj' ? config.intermediate_size : target === 'o_proj' ? config.n_heads * config.head_dim : config.hidden_size;
  const chosen = (of: number) => {
    if (typeof rows === 'number') return Math.min(rows, of);
    const selected = Math.floor(rows.ratio * of);
    return selected - (selected % (rows.round_to ?? 4));
  };
  const perLayer = targetNames.filter((t) => targets.includes(t)).reduce((sum, t) => sum + chosen(rowsOf[t]) * widthOf(t), 0);
  // A pooler is trained whole; how many classes there are is in the data.
  const head = isEncoder(model.config) ? config.hidden_size * (config.hidden_size + 1) : 0;
  return perLayer * (layers[1] - layers[0] + 1) + head;
}

export function factsOf(admission: Planned, lengths: Pick<Lengths, 'mean' | 'longest'>, lowMemory: boolean): EstimateFacts {
  const { model, settings, validationExamples } = admission;
  const { config } = model;
  const { rowSparse, hyperparameters, totalSteps } = settings;
  const every = rowSparse.eval_every_steps;
  const evaluations = validationExamples === 0 ? 0 : 2 + (every > 0 ? Math.max(0, Math.ceil(totalSteps / every) - 1) : 0);
  const seen = Math.min(
    totalSteps * hyperparameters.batch_size * rowSparse.gradient_accumulation_steps,
    rowSparse.max_steps > 0 ? Number.POSITIVE_INFINITY : admission.trainingExamples * hyperparameters.n_epochs,
  );
  return {
    parameters: model.parameters,
    weightsBytes: model.weights_bytes,
    hidden: config.hidden_size,
    intermediate: config.intermediate_size,
    layers: config.n_layers,
    heads: config.n_heads,
    vocabulary: config.vocab_size,
    trainable: trainableOf(admission),
    batch: hyperparameters.batch_size,
    length: lengths.longest,
    tokens: Math.round(seen * lengths.mean),
    evaluationTokens: Math.round(evaluations * validationExamples * lengths.mean),
    lowMemory,
    encoder: isEncoder(config),
  };
}

/** Where the job would run: measured there, or what the machines of that kind would take by formula. */
async function durationOf(
  deps: EstimateDeps,
  { device_class: asked = 'auto', device }: CreateJobBody,
  { model }: Admission,
  facts: EstimateFacts,
  devices: JobEstimate['devices'],
): Promise<JobEstimate['duration']> {
  const speeds = await deps.jobs.speeds(model.base_sha256);
  const speed =
    asked === 'auto'
      ? speeds.find(({ deviceClass }) => isOfKind(deviceClass, device))
      : speeds.find(({ deviceClass }) => deviceClass === asked);
  if (speed !== undefined) {
    const { deviceClass, jobs, slowest, fastest } = speed;
    const rates = { slowest, fastest };
    return { basis: 'measured', device_class: deviceClass, jobs, tokens_per_second: rates, ...measuredSeconds(facts, speed) };
  }
  const kind = asked === 'auto' ? device : /^[a-z]+/.exec(asked)?.[0];
  const alike = devices.filter(({ device }) => device.startsWith(`${kind}-`));
  const spans = (alike.length > 0 ? alike : devices).map(({ duration_seconds: span }) => span);
  return {
    ...{ basis: 'formula', device_class: asked === 'auto' ? null : asked, jobs: 0, tokens_per_second: null },
    ...{ low: Math.min(...spans.map(({ low }) => low)), high: Math.max(...spans.map(({ high }) => high)) },
  };
}

export async function estimateJob(deps: EstimateDeps, projectId: ProjectId, body: CreateJobBody): Promise<JobEstimate> {
  const admission = await admitJob(deps, projectId, body);
  const { model, settings, training, trainingExamples, validationExamples } = admission;
  const { rowSparse } = settings;
  const files = training.map(({ file }) => file);
  const options = { maxSeqLength: rowSparse.max_seq_length, trainOn: rowSparse.train_on };
  const counts: (TokenCounts | null)[] = [];
  for (const file of files) counts.push(await deps.tokens.count(file, model, options));
  const lengths = lengthsOf(counts, files, rowSparse.max_seq_length);
  const fast = factsOf(admission, lengths, false);
  const low = { ...fast, lowMemory: true };
  const asked = rowSparse.memory;
  const devices = deviceClasses.map((device) => {
    const fitsFast = memoryOf(fast).total <= device.memoryBytes;
    const chosen = asked === 'low' || (asked === 'auto' && !fitsFast) ? low : fast;
    const { total } = memoryOf(chosen);
    const [slow, quick] = device.flops;
    return {
      device: device.name,
      memory_bytes: device.memoryBytes,
      memory_mode: chosen === low ? ('low' as const) : ('fast' as const),
      needed_bytes: total,
      fits: total <= device.memoryBytes,
      duration_seconds: { low: Math.ceil(workOf(chosen) / quick), high: Math.ceil(workOf(chosen) / slow) },
    };
  });
  return {
    object: 'fine_tuning.estimate',
    model: model.id,
    hyperparameters: settings.hyperparameters,
    row_sparse: rowSparse,
    training_examples: trainingExamples,
    validation_examples: validationExamples,
    trainable_parameters: fast.trainable,
    steps: settings.totalSteps,
    tokens: { mean: lengths.mean, longest: lengths.longest, trained: fast.tokens, evaluated: fast.evaluationTokens, basis: lengths.basis },
    memory: { fast: memoryOf(fast), low: memoryOf(low) },
    devices,
    duration: await durationOf(deps, body, admission, rowSparse.memory === 'low' ? low : fast, devices),
  };
}
