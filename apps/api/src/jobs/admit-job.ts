/** Whether a job can be: model, files and settings are checked and every "auto" resolved. Nothing is stored, so estimates use it too. */
import { randomInt } from 'node:crypto';
import { type CreateJobBody, isEncoder, type JobIntegration, type ObjectRef, type ProjectId, sizesOf } from '@rowsmith/contracts';
import { type FileStore, isOfKind, type JobFacts, type JobStore, type ObjectStore, type ResolvedJob, resolveJob } from '@rowsmith/core';
import { heldOutOf, weightedRows } from '@rowsmith/data';
import { badRequest, notFound } from '../http/api-error.js';
import type { BaseModel, BaseModels } from '../models/base-models.js';
import { filesOf, type JobFiles } from './job-files.js';
import { reusedRowsOf } from './reuse-rows.js';
import { checkRowKinds } from './row-kinds.js';
import { warmStartOf } from './warm-start.js';

export interface AdmissionDeps {
  readonly files: Pick<FileStore, 'get' | 'findings'>;
  readonly models: Pick<BaseModels, 'get'>;
  readonly jobs: Pick<JobStore, 'get' | 'checkpoint'>;
  readonly objects: Pick<ObjectStore, 'getBytes'>;
  /** Kinds of integration that the operator has set up. */
  readonly trackers: ReadonlySet<JobIntegration['type']>;
}
export interface Admission extends JobFiles {
  readonly model: BaseModel;
  readonly settings: ResolvedJob;
  readonly trainingExamples: number;
  /** 0 without validation data. */
  readonly validationExamples: number;
  readonly warmStart: ObjectRef | null;
  /** Selection of another job whose rows are trained. */
  readonly reuseRows: ObjectRef | null;
}

/** What the rules of a job's settings need to know of a model: sizes of its linears, [out, in], in Hugging Face's names. */
export function modelFacts(model: BaseModel): JobFacts['model'] {
  const config = sizesOf(model.config);
  const encoder = isEncoder(model.config);
  const queries = config.n_heads * config.head_dim;
  const keys = config.n_kv_heads * config.head_dim;
  return {
    ...(encoder && { encoder }),
    layers: config.n_layers,
    maxPositions: model.config.max_position_embeddings,
    heads: config.n_heads,
    kvHeads: config.n_kv_heads,
    rowsOf: {
      q_proj: queries,
      k_proj: keys,
      v_proj: keys,
      o_proj: config.hidden_size,
      gate_proj: encoder ? 0 : config.intermediate_size,
      up_proj: config.intermediate_size,
      down_proj: config.hidden_size,
    },
  };
}

const settingOf = { wandb: 'WANDB_API_KEY', mlflow: 'MLFLOW_TRACKING_URI' } as const;

function checkIntegrations(integrations: readonly JobIntegration[], trackers: AdmissionDeps['trackers']): void {
  const at = integrations.findIndex(({ type }) => !trackers.has(type));
  const missing = integrations[at];
  if (missing === undefined) return;
  const message = `This service sends no metrics to ${missing.type}: its operator has not set ${settingOf[missing.type]}.`;
  throw badRequest(message, 'invalid_value', `integrations[${at}].type`);
}

function checkDevice({ device = 'auto', device_class: named = 'auto' }: CreateJobBody): void {
  if (named === 'auto' || isOfKind(named, device)) return;
  throw badRequest(`device_class '${named}' is no class of the device '${device}'; name one of the two.`, 'invalid_value', 'device_class');
}

export async function admitJob(deps: AdmissionDeps, projectId: ProjectId, body: CreateJobBody): Promise<Admission> {
  const model = await deps.models.get(body.model);
  if (model === null) {
    throw notFound(`The model '${body.model}' does not exist. GET /models lists the base models.`, 'model_not_found', 'model');
  }
  checkIntegrations(body.integrations ?? [], deps.trackers);
  checkDevice(body);
  const { training, validation } = await filesOf(deps.files, projectId, body);
  await checkRowKinds(deps.files, projectId, model, { training, validation });
  const split = body.validation_split ?? null;
  // As the trainer does it: of every file a part is held out, and the weight is that of the rest.
  const counts = training.map(({ file, weight }) => {
    const rows = file.examples ?? 0;
    const out = split === null ? 0 : heldOutOf(rows, split);
    return { rows, out, trained: weightedRows(rows - out, weight) };
  });
  const [rows, heldOut, trainingExamples] = (['rows', 'out', 'trained'] as const).map((name) =>
    counts.reduce((sum, c) => sum + c[name], 0),
  ) as [number, number, number];
  const validationExamples = split === null ? (validation?.examples ?? 0) : heldOut;
  if (rows > 0 && trainingExamples < 1)
    throw badRequest(`A validation_split of ${split} leaves nothing to train on of ${rows} rows.`, 'invalid_value', 'validation_split');
  const reused = await reusedRowsOf(body.row_sparse?.reuse_rows_of, model, projectId, deps);
  const settings = resolveJob(body, {
    reuse: reused?.rowSparse,
    model: modelFacts(model),
    trainingExamples,
    validationExamples: split === null && validation === null ? null : validationExamples,
    randomSeed: randomInt(2 ** 31),
  });
  if ('fault' in settings) throw badRequest(settings.fault.message, 'invalid_value', settings.fault.param);
  const warmStart = await warmStartOf(settings.rowSparse.warm_start_from ?? null, model, projectId, deps);
  return { model, training, validation, settings, trainingExamples, validationExamples, warmStart, reuseRows: reused?.selection ?? null };
}
