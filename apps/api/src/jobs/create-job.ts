/** Storing an admitted job; a repeated Idempotency-Key finds the job that the first request made, before anything else is looked at. */
import { createHash, randomBytes } from 'node:crypto';
import { type CreateJobBody, canonicalJson, type JobId, type JobSpec, newId, type ProjectId } from '@rowsmith/contracts';
import type { FileRecord, JobRecord, JobStore } from '@rowsmith/core';
import { ApiError, badRequest, notFound } from '../http/api-error.js';
import { type Admission, type AdmissionDeps, admitJob } from './admit-job.js';

export interface CreateJobDeps extends AdmissionDeps {
  readonly jobs: Pick<JobStore, 'create' | 'get' | 'checkpoint' | 'replay'>;
  readonly onJobCreated: () => void;
}
export interface Created {
  readonly job: JobRecord;
  readonly replayed: boolean;
}

const refOf = ({ key, sha256, bytes }: FileRecord) => ({ key, sha256, bytes });

/** Options that are not asked for are left out: the hash of a spec, which checkpoints are bound to, is then that of older services. */
function specOf(id: JobId, body: CreateJobBody, { model, training, validation, settings, warmStart, reuseRows }: Admission): JobSpec {
  const [first] = training;
  if (first === undefined) throw new Error('an admitted job has a training file');
  const plain = training.length === 1 && first.weight === 1;
  const skip = body.invalid_sample_skip_percentage ?? 0;
  return {
    job_id: id,
    model: model.id,
    base_sha256: model.base_sha256,
    training_data: refOf(first.file),
    validation_data: validation === null ? null : refOf(validation),
    ...(plain ? {} : { mixture: training.map(({ file, weight }) => ({ file: file.id, data: refOf(file), weight })) }),
    ...(body.validation_split ? { validation_split: body.validation_split } : {}),
    ...(skip > 0 ? { invalid_sample_skip_percentage: skip } : {}),
    ...(warmStart === null ? {} : { warm_start: warmStart }),
    ...(reuseRows === null ? {} : { reuse_rows: reuseRows }),
    seed: settings.seed,
    hyperparameters: settings.hyperparameters,
    row_sparse: settings.rowSparse,
  };
}

const reused = () =>
  new ApiError(422, {
    message: 'This Idempotency-Key was used with another body. Use a new key for another job.',
    code: 'idempotency_key_reused',
    param: 'Idempotency-Key',
  });

const deleted = () =>
  notFound('The job that this Idempotency-Key made was deleted. Use a new key for another job.', 'job_not_found', 'Idempotency-Key');
/** By the field that named it, which is what the answer would have been a moment later. */
const sourceGone = ({ row_sparse: { warm_start_from: from, reuse_rows_of: of } }: JobSpec) =>
  from === null
    ? notFound(`No such fine-tuning job: '${of}'.`, 'job_not_found', 'row_sparse.reuse_rows_of')
    : badRequest(`'${from}' was deleted meanwhile.`, 'job_not_found', 'row_sparse.warm_start_from');

/** `sent`: what the key stands for, if it is not the body itself (a clone's patch). */
export async function createJob(
  deps: CreateJobDeps,
  projectId: ProjectId,
  body: CreateJobBody,
  idempotencyKey: string | undefined,
  sent: unknown = body,
): Promise<Created> {
  const bodySha256 = () => createHash('sha256').update(canonicalJson(sent)).digest('hex');
  const idempotency = idempotencyKey === undefined ? undefined : { key: idempotencyKey, bodySha256: bodySha256() };
  if (idempotency) {
    const earlier = await deps.jobs.replay(projectId, idempotency);
    if (earlier === 'other_body') throw reused();
    if (earlier === 'deleted') throw deleted();
    if (earlier !== null) return { job: earlier, replayed: true };
  }
  const admission = await admitJob(deps, projectId, body);
  const { model, training, validation, settings } = admission;
  const id = newId('job', randomBytes);
  const spec = specOf(id, body, admission);
  const trainingFile = training[0]?.file.id;
  if (trainingFile === undefined) throw new Error('an admitted job has a training file');
  const created = await deps.jobs.create(
    {
      id,
      projectId,
      model: model.id,
      suffix: body.suffix ?? null,
      metadata: body.metadata ?? null,
      trainingFile,
      validationFile: validation?.id ?? null,
      ...settings,
      spec,
      deviceClass: body.device_class === undefined || body.device_class === 'auto' ? null : body.device_class,
      priority: body.priority === undefined || body.priority === 'auto' ? 50 : body.priority,
      maxDurationSeconds: body.max_duration_seconds ?? null,
      request: body,
      autoStart: body.auto_start ?? true,
    },
    idempotency,
  );
  if (created === 'file_gone') throw badRequest('A file of the job was deleted meanwhile.', 'file_not_found', 'training_file');
  if (created === 'job_gone') throw sourceGone(spec);
  if (created === 'other_body') throw reused();
  if (created === 'deleted') throw deleted();
  // Nothing to dispatch until it is started.
  if (created.job.status === 'queued') deps.onJobCreated();
  return created;
}
