/** Which rows an attempt trains when no checkpoint says it: those of another job, or those that scores choose. */
import {
  canonicalJson,
  type EncodedExample,
  type JobSpec,
  parseAs,
  type ScoresReference,
  Selection,
  scoresKeyOf,
  selectionKeyOf,
} from '@rowsmith/contracts';
import {
  chosenLinears,
  type Engine,
  planFromIndices,
  planFromScores,
  type RowPlan,
  scoreChannels,
  type TrainableModel,
  withBiases,
  withClassifier,
} from '@rowsmith/engine';
import type { Logger } from '@rowsmith/telemetry';
import { type Objects, verifiedObject } from './object-files.js';
import { findScores, scoresIdentity, storeScores } from './scores-file.js';
import { TrainerError } from './trainer-error.js';

export interface ChoiceInput {
  readonly store: Objects;
  readonly spec: JobSpec;
  readonly engine: Engine;
  /** Holds the base weights. */
  readonly model: TrainableModel;
  readonly examples: readonly EncodedExample[];
  readonly workDir: string;
  readonly signal: AbortSignal;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
  readonly log: Logger;
  readonly phase: (message: string) => Promise<void>;
}

/** Between reports of progress: each is an event of the job. */
const reportEveryMs = 5000;

/**
 * Scores, unless another job scored the same before, and chooses; the job then names its scores and its rows in the store. Throws what `scoreChannels`
 * and `planFromScores` throw, and TrainerError (infra) when reused rows are damaged.
 */
export async function chooseRows(input: ChoiceInput): Promise<RowPlan> {
  const { store, spec, model } = input;
  const plan = spec.reuse_rows ? await reusedRows(input, spec.reuse_rows) : planFromScores(model, spec.row_sparse, await scoresOf(input));
  await storeSelection(store, spec, plan);
  return plan;
}

/** For the jobs that may want the same rows. */
export async function storeSelection(store: Objects, { job_id, base_sha256 }: JobSpec, { modules }: RowPlan): Promise<void> {
  const selection: Selection = {
    format: 'rowsmith-selection/1',
    base_sha256,
    modules: modules.map(({ name, indices, columns = [] }) => ({ name, rows: Array.from(indices), columns: Array.from(columns) })),
  };
  await store.put(selectionKeyOf(job_id), encode(selection));
}

async function scoresOf({ store, spec, engine, model, examples, workDir, signal, clock, log, phase }: ChoiceInput) {
  const { row_sparse: config, seed } = spec;
  const identity = scoresIdentity(spec, examples, engine.operators.kind);
  const found = await findScores(store, identity, chosenLinears(model, config), workDir);
  if (found && 'scores' in found) {
    await phase(`Choosing rows by ${config.scorer}: scored before`);
    await name(store, spec, found.manifest);
    return found.scores;
  }
  if (found) log.warn({ op: 'scores', damage: found.damage }, 'stored scores are damaged; scoring again');
  await phase(`Choosing rows by ${config.scorer}`);
  let reported = clock();
  const onProgress = async (done: number, total: number) => {
    if (clock() - reported < reportEveryMs) return;
    reported = clock();
    await phase(`Scoring by ${config.scorer}: ${done} of ${total} passes of a batch`);
  };
  const batchSize = spec.hyperparameters.batch_size;
  const { scores, batches } = await scoreChannels({ engine, model, config, seed, examples, batchSize, signal, onProgress });
  await name(store, spec, await storeScores(store, identity, scores, batches));
  return scores;
}

async function name(store: Objects, { job_id }: JobSpec, manifest: ScoresReference['manifest']): Promise<void> {
  const reference: ScoresReference = { format: 'rowsmith-scores-of/1', manifest };
  await store.put(scoresKeyOf(job_id), encode(reference));
}

async function reusedRows({ store, spec, model, phase }: ChoiceInput, ref: NonNullable<JobSpec['reuse_rows']>): Promise<RowPlan> {
  await phase(`Taking the rows of ${spec.row_sparse.reuse_rows_of}`);
  const parts: Uint8Array[] = [];
  for await (const part of verifiedObject(store, ref)) parts.push(part);
  const { base_sha256, modules } = parseAs(Selection, JSON.parse(Buffer.concat(parts).toString('utf8')), 'selection');
  const param = 'row_sparse.reuse_rows_of';
  if (base_sha256 !== spec.base_sha256)
    throw new TrainerError(
      'user',
      'reuse_rows_other_base',
      `the rows of ${spec.row_sparse.reuse_rows_of} belong to another base model`,
      param,
    );
  const of = (axis: 'rows' | 'columns') =>
    new Map(modules.flatMap((module) => (module[axis].length > 0 ? [[module.name, Int32Array.from(module[axis])] as const] : [])));
  const plan = planFromIndices(model, of('rows'), of('columns'));
  // The classifier of the other job may have other classes; this job's is trained whole in any case.
  return withClassifier(model, spec.row_sparse.train_biases ? withBiases(plan) : plan);
}

const encode = (value: unknown): Uint8Array => new TextEncoder().encode(canonicalJson(value));
