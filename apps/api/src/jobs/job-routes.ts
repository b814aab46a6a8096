/** Fine-tuning jobs: create, list, get, cancel, pause, resume. */
import { CreateJobBody, JobObject, listOf, type ProjectId } from '@rowsmith/contracts';
import type { JobRecord, JobStore } from '@rowsmith/core';
import { Type } from 'typebox';
import { naming } from '../control/result-file.js';
import { ApiError, noSuchJob, notPossible } from '../http/api-error.js';
import { projectOf } from '../http/auth.js';
import { listOfItems, pageQuery, requireCursor } from '../http/paging.js';
import { failures, json, named } from '../http/replies.js';
import type { Routes } from '../http/routes.js';
import { type CreateJobDeps, createJob } from './create-job.js';
import { IdempotencyHeaders } from './idempotency-header.js';
import { toJobObject } from './job-object.js';
import { JobParams } from './job-params.js';

export interface JobDeps extends CreateJobDeps {
  readonly jobs: JobStore;
  /** The job as clients may see it (a succeeded one has its result file). */
  readonly present: (job: JobRecord) => Promise<JobRecord>;
}

const Job = named(JobObject, 'FineTuningJob');
const metadataParameter = /^metadata\[([^\]]{1,64})\]$/;
const ListQuery = Type.Object(pageQuery(20, 100), {
  additionalProperties: false,
  // Patterns, which OpenAPI cannot say: the document has one parameter for both.
  patternProperties: { [metadataParameter.source]: Type.String({ maxLength: 512 }), '^metadata$': Type.Literal('null') },
});

/** `metadata[key]=value` parameters, all of which a job must have; `metadata=null`: jobs without any. */
function metadataFilter(query: Readonly<Record<string, unknown>>): Record<string, string> | 'none' | undefined {
  if (query['metadata'] === 'null') return 'none';
  const pairs = Object.entries(query).flatMap(([name, value]) => {
    const key = metadataParameter.exec(name)?.[1];
    return key === undefined ? [] : [[key, String(value)] as const];
  });
  return pairs.length === 0 ? undefined : Object.fromEntries(pairs);
}

/** The one 409 that a client should try again. */
const stillPausing = (id: string) =>
  new ApiError(409, {
    message: `Job ${id} is still pausing: its worker writes a checkpoint. Try again in a moment.`,
    code: 'job_pausing',
    param: 'id',
    headers: { 'retry-after': '1', 'retry-after-ms': '1000' },
  });

export const jobRoutes: Routes<JobDeps> = (app, deps, prefix) => {
  const { jobs, present } = deps;
  const finished = async (project: ProjectId, id: string, action: string) => {
    const status = (await jobs.get(project, id))?.status ?? 'finished';
    const already = status === 'cancelled' ? 'been cancelled' : status;
    return notPossible(`Job ${id} cannot be ${action}: it has already ${already}.`, 'job_already_finished', 'id');
  };

  app.post(
    prefix.jobs,
    {
      config: { scope: 'jobs:write', action: 'job.created' },
      schema: {
        tags: ['fine-tuning'],
        summary: 'Create a fine-tuning job',
        headers: IdempotencyHeaders,
        body: named(CreateJobBody, 'CreateFineTuningJobRequest'),
        response: { 200: json('The job, every "auto" resolved', Job), ...failures(404, 413, 415, 422) },
      },
    },
    async (request, reply) => {
      const { job, replayed } = await createJob(deps, projectOf(request), request.body, request.headers['idempotency-key']);
      if (replayed) reply.header('idempotent-replayed', 'true');
      return toJobObject(await present(job));
    },
  );

  app.get(
    prefix.jobs,
    {
      config: {
        scope: 'jobs:read',
        queryObjects: {
          metadata: {
            type: 'object',
            description: 'jobs that have all of these pairs; `metadata=null`: jobs without metadata',
            additionalProperties: { type: 'string', maxLength: 512 },
          },
        },
      },
      schema: {
        tags: ['fine-tuning'],
        summary: 'List fine-tuning jobs',
        querystring: ListQuery,
        response: { 200: json('Jobs, newest first', listOf(Job)), ...failures() },
      },
    },
    async (request) => {
      const { after, limit = 20 } = request.query;
      await requireCursor(after, (id) => jobs.get(projectOf(request), id), 'fine-tuning job');
      const page = await jobs.list(projectOf(request), { after, limit, metadata: metadataFilter(request.query) });
      return listOfItems(page, (job) => toJobObject(naming(job)));
    },
  );

  app.get(
    `${prefix.jobs}/:id`,
    {
      config: { scope: 'jobs:read' },
      schema: {
        tags: ['fine-tuning'],
        summary: 'Get a fine-tuning job',
        params: JobParams,
        response: { 200: json('The job', Job), ...failures(404) },
      },
    },
    async (request) => {
      const job = await jobs.get(projectOf(request), request.params.id);
      if (job === null) throw noSuchJob(request.params.id);
      return toJobObject(await present(job));
    },
  );

  app.post(
    `${prefix.jobs}/:id/cancel`,
    {
      config: { scope: 'jobs:write', action: 'job.cancelled' },
      schema: {
        tags: ['fine-tuning'],
        summary: 'Cancel a fine-tuning job',
        description: 'A queued job is cancelled at once, a running one within seconds. A finished job cannot be cancelled (400).',
        params: JobParams,
        response: { 200: json('The job; still `running` until its worker has stopped', Job), ...failures(404, 413, 415) },
      },
    },
    async (request) => {
      const { id } = request.params;
      const cancelled = await jobs.cancel(projectOf(request), id);
      if (cancelled === null) throw noSuchJob(id);
      if (cancelled === 'final') throw await finished(projectOf(request), id, 'cancelled');
      return toJobObject(await present(cancelled));
    },
  );

  app.post(
    `${prefix.jobs}/:id/pause`,
    {
      config: { scope: 'jobs:write', action: 'job.paused' },
      schema: {
        tags: ['fine-tuning'],
        summary: 'Pause a fine-tuning job',
        description: 'A queued job is paused at once; a running one is `pausing` until its worker has written a checkpoint and stopped.',
        params: JobParams,
        response: { 200: json('The job', Job), ...failures(404, 413, 415) },
      },
    },
    async (request) => {
      const { id } = request.params;
      const paused = await jobs.pause(projectOf(request), id);
      if (paused === null) throw noSuchJob(id);
      if (paused === 'final') throw await finished(projectOf(request), id, 'paused');
      return toJobObject(paused);
    },
  );

  app.post(
    `${prefix.jobs}/:id/resume`,
    {
      config: { scope: 'jobs:write', action: 'job.resumed' },
      schema: {
        tags: ['fine-tuning'],
        summary: 'Resume a paused fine-tuning job',
        description:
          'It is queued again and goes on from its newest checkpoint. While it is still `pausing` the answer is 409 with `retry-after`.',
        params: JobParams,
        response: { 200: json('The job', Job), ...failures(404, 409, 413, 415) },
      },
    },
    async (request) => {
      const { id } = request.params;
      const resumed = await jobs.resume(projectOf(request), id);
      if (resumed === null) throw noSuchJob(id);
      if (resumed === 'final') throw await finished(projectOf(request), id, 'resumed');
      if (resumed === 'pausing') throw stillPausing(id);
      deps.onJobCreated();
      return toJobObject(resumed);
    },
  );
};
