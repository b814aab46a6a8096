/** Admission of a job: model, files and settings are checked and every "auto" resolved before anything is stored. */
import { createHash, randomBytes, randomInt } from 'node:crypto';
import { type CreateJobBody, canonicalJson, type JobSpec, newId, type ProjectId } from '@rowsmith/contracts';
import { type FileRecord, type FileStore, type JobFacts, type JobRecord, type JobStore, resolveJob } from '@rowsmith/core';
import { ApiError, badRequest, notFound } from '../http/api-error.js';
import type { BaseModel, BaseModels } from '../models/base-models.js';

export interface CreateJobDeps {
  readonly jobs: Pick<JobStore, 'create'>;
  readonly files: Pick<FileStore, 'get'>;
  readonly models: Pick<BaseModels, 'get'>;
  readonly onJobCreated: () => void;
}

async function trainingData(files: CreateJobDeps['files'], projectId: ProjectId, id: string, param: string): Promise<FileRecord> {
  const file = await files.get(projectId, id);
  if (file === null) throw badRequest(`No such file: '${id}'.`, 'file_not_found', param);
  if (file.purpose !== 'fine-tune') {
    throw badRequest(
      `File ${id} has the purpose '${file.purpose}'; '${param}' must be uploaded with 'fine-tune'.`,
      'invalid_file_purpose',
      param,
    );
  }
  return file;
}

/** What the rules of a job's settings need to know of a model: sizes of its linears, [out, in], in Hugging Face's names. */
function modelFacts({ config }: BaseModel): JobFacts['model'] {
  const queries = config.n_heads * config.head_dim;
  const keys = config.n_kv_heads * config.head_dim;
  return {
    layers: config.n_layers,
    maxPositions: config.max_position_embeddings,
    heads: config.n_heads,
    kvHeads: config.n_kv_heads,
    rowsOf: {
      q_proj: queries,
      k_proj: keys,
      v_proj: keys,
      o_proj: config.hidden_size,
      gate_proj: config.intermediate_size,
      up_proj: config.intermediate_size,
      down_proj: config.hidden_size,
    },
  };
}

const refOf = ({ key, sha256, bytes }: FileRecord) => ({ key, sha256, bytes });

export async function createJob(
  deps: CreateJobDeps,
  projectId: ProjectId,
  body: CreateJobBody,
  idempotencyKey: string | undefined,
): Promise<{ readonly job: JobRecord; readonly replayed: boolean }> {
  const model = await deps.models.get(body.model);
  if (model === null) {
    throw notFound(`The model '${body.model}' does not exist. GET /models lists the base models.`, 'model_not_found', 'model');
  }
  const training = await trainingData(deps.files, projectId, body.training_file, 'training_file');
  const validation = body.validation_file ? await trainingData(deps.files, projectId, body.validation_file, 'validation_file') : null;
  const settings = resolveJob(body, {
    model: modelFacts(model),
    trainingExamples: training.examples ?? 0,
    validationExamples: validation === null ? null : (validation.examples ?? 0),
    randomSeed: randomInt(2 ** 31),
  });
  if ('fault' in settings) throw badRequest(settings.fault.message, 'invalid_value', settings.fault.param);
  const id = newId('job', randomBytes);
  const spec: JobSpec = {
    job_id: id,
    model: model.id,
    base_sha256: model.base_sha256,
    training_data: refOf(training),
    validation_data: validation === null ? null : refOf(validation),
    seed: settings.seed,
    hyperparameters: settings.hyperparameters,
    row_sparse: settings.rowSparse,
  };
  const created = await deps.jobs.create(
    {
      id,
      projectId,
      model: model.id,
      suffix: body.suffix ?? null,
      metadata: body.metadata ?? null,
      trainingFile: training.id,
      validationFile: validation?.id ?? null,
      ...settings,
      spec,
    },
    idempotencyKey === undefined
      ? undefined
      : { key: idempotencyKey, bodySha256: createHash('sha256').update(canonicalJson(body)).digest('hex') },
  );
  if (created === 'file_gone') throw badRequest('A file of the job was deleted meanwhile.', 'file_not_found', 'training_file');
  if (created === 'other_body') {
    throw new ApiError(422, {
      message: 'This Idempotency-Key was used with another body. Use a new key for another job.',
      code: 'idempotency_key_reused',
      param: 'Idempotency-Key',
    });
  }
  deps.onJobCreated();
  return created;
}
