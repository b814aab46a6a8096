/** Before and beside creation: what a job would cost, starting one that waits, and making one like an earlier one. */
import { CloneJobBody, CreateJobBody, JobEstimate, JobObject } from '@rowsmith/contracts';
import type { JobRecord, JobStore, ObjectStore } from '@rowsmith/core';
import type { FastifyRequest } from 'fastify';
import { ApiError, noSuchJob, notPossible } from '../http/api-error.js';
import { projectOf } from '../http/auth.js';
import { failures, json, named } from '../http/replies.js';
import type { Routes } from '../http/routes.js';
import { type CreateJobDeps, createJob } from './create-job.js';
import { type EstimateDeps, estimateJob } from './estimate.js';
import { IdempotencyHeaders } from './idempotency-header.js';
import { toJobObject } from './job-object.js';
import { JobParams } from './job-params.js';
import { mergePatch } from './merge-patch.js';

export interface AdmissionRouteDeps extends CreateJobDeps, EstimateDeps {
  readonly jobs: JobStore;
  readonly objects: ObjectStore;
  readonly present: (job: JobRecord) => Promise<JobRecord>;
}

const Job = named(JobObject, 'FineTuningJob');
const createRequest = { $ref: 'CreateFineTuningJobRequest#' };

/** The result of a patch must hold up as if it had been sent. */
function checked(request: FastifyRequest, body: unknown): CreateJobBody {
  // Typed after Ajv's; ours answers with the value or the error (`useStrictValidation`).
  const answer: unknown = request.compileValidationSchema(createRequest, 'body')(body);
  const { error } = answer as { readonly error?: unknown };
  if (error instanceof ApiError) throw error;
  if (error !== undefined) throw new Error('a validator failed with something else than an ApiError', { cause: error });
  return body as CreateJobBody;
}

/** For jobs from before requests were kept: what was resolved is what was asked for. */
const requestOf = (job: JobRecord): CreateJobBody => ({
  model: job.model,
  training_file: job.trainingFile,
  validation_file: job.validationFile,
  suffix: job.suffix,
  metadata: job.metadata === null ? null : { ...job.metadata },
  method: { type: 'supervised', supervised: { hyperparameters: job.hyperparameters } },
  row_sparse: job.rowSparse,
});

export const admissionRoutes: Routes<AdmissionRouteDeps> = (app, deps, prefix) => {
  const { jobs } = deps;

  app.post(
    `${prefix.jobs}/estimate`,
    {
      config: { scope: 'jobs:read' },
      schema: {
        tags: ['fine-tuning'],
        summary: 'Estimate a job',
        description:
          'Takes the body of a creation, checks it the same way, and tells tokens, steps, memory and duration. Nothing is stored or queued.',
        body: named(CreateJobBody, 'CreateFineTuningJobRequest'),
        response: { 200: json('The forecast', named(JobEstimate, 'FineTuningEstimate')), ...failures(404, 413, 415) },
      },
    },
    async (request) => estimateJob(deps, projectOf(request), request.body),
  );

  app.post(
    `${prefix.jobs}/:id/start`,
    {
      config: { scope: 'jobs:write', action: 'job.started' },
      schema: {
        tags: ['fine-tuning'],
        summary: 'Start a job that was created with auto_start: false',
        description: 'A job that is queued or running already stays as it is.',
        params: JobParams,
        response: { 200: json('The job', Job), ...failures(404, 413, 415) },
      },
    },
    async (request) => {
      const { id } = request.params;
      const started = await jobs.start(projectOf(request), id);
      if (started === null) throw noSuchJob(id);
      if (started === 'paused')
        throw notPossible(`Job ${id} was started before and is paused; POST .../resume goes on with it.`, 'job_paused', 'id');
      if (started === 'final') throw notPossible(`Job ${id} cannot be started: it is finished.`, 'job_already_finished', 'id');
      deps.onJobCreated();
      return toJobObject(started);
    },
  );

  app.post(
    `${prefix.jobs}/:id/clone`,
    {
      config: { scope: 'jobs:write', action: 'job.cloned' },
      schema: {
        tags: ['fine-tuning'],
        summary: 'Create a job like an earlier one',
        description:
          "The body is a JSON merge patch of the earlier job's request: what is not named stays, null takes a field out. The seed is the earlier job's, so that only what is named differs.",
        params: JobParams,
        headers: IdempotencyHeaders,
        body: named(CloneJobBody, 'CloneFineTuningJobRequest'),
        response: { 200: json('The new job', Job), ...failures(404, 413, 415, 422) },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const project = projectOf(request);
      const earlier = await jobs.get(project, id);
      if (earlier === null) throw noSuchJob(id);
      const asked = (await jobs.request(project, id)) ?? requestOf(earlier);
      const patch: unknown = request.body;
      const body = checked(request, mergePatch({ ...asked, seed: earlier.seed }, patch));
      const { job, replayed } = await createJob(deps, project, body, request.headers['idempotency-key'], { clone: id, patch });
      if (replayed) reply.header('idempotent-replayed', 'true');
      return toJobObject(await deps.present(job));
    },
  );
};
