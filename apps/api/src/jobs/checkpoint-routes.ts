/** Checkpoints of a job: which there are, and one on demand. */
import { JobCheckpoint, JobObject, listOf } from '@rowsmith/contracts';
import type { JobStore } from '@rowsmith/core';
import { Type } from 'typebox';
import { conflict, noSuchJob } from '../http/api-error.js';
import { projectOf } from '../http/auth.js';
import { listOfItems, noSuchCursor, pageQuery } from '../http/paging.js';
import { failures, json, named } from '../http/replies.js';
import type { Routes } from '../http/routes.js';
import { toCheckpointObject, toJobObject } from './job-object.js';
import { JobParams } from './job-params.js';

export interface CheckpointDeps {
  readonly jobs: Pick<JobStore, 'get' | 'checkpoints' | 'requestCheckpoint'>;
}

export const checkpointRoutes: Routes<CheckpointDeps> = (app, { jobs }, prefix) => {
  app.get(
    `${prefix.jobs}/:id/checkpoints`,
    {
      config: { scope: 'jobs:read' },
      schema: {
        tags: ['fine-tuning'],
        summary: 'Checkpoints of a job',
        params: JobParams,
        querystring: Type.Object(pageQuery(10, 100), { additionalProperties: false }),
        response: { 200: json('Checkpoints, newest first', listOf(named(JobCheckpoint, 'FineTuningJobCheckpoint'))), ...failures(404) },
      },
    },
    async (request) => {
      const { id } = request.params;
      const project = projectOf(request);
      const job = await jobs.get(project, id);
      const page = await jobs.checkpoints(project, id, { after: request.query.after, limit: request.query.limit ?? 10 }, 'kept');
      if (job === null || page === null) throw noSuchJob(id);
      if (page === 'no_cursor') throw noSuchCursor(request.query.after, 'checkpoint');
      return listOfItems(page, (checkpoint) => toCheckpointObject(job, checkpoint));
    },
  );

  app.post(
    `${prefix.jobs}/:id/checkpoints`,
    {
      config: { scope: 'jobs:write', action: 'job.checkpoint_requested' },
      schema: {
        tags: ['fine-tuning'],
        summary: 'Ask a running job for a checkpoint now',
        description:
          'Its worker makes one after the step that is being computed and goes on; the event `checkpoint.created` tells when it is there. It is of the step that the job shows in `progress`, or of a later one; where such a checkpoint is there already, nothing more is made. Asking again before it is made asks for the same one. A worker that is lost leaves the wish to the next. The result of the job is the same with it. A job that no worker runs is a 409 `job_not_running`.',
        params: JobParams,
        response: {
          200: json('The job; the checkpoint follows within seconds and a step', named(JobObject, 'FineTuningJob')),
          ...failures(404, 409, 413, 415),
        },
      },
    },
    async (request) => {
      const { id } = request.params;
      const project = projectOf(request);
      const asked = await jobs.requestCheckpoint(project, id);
      if (asked === null) throw noSuchJob(id);
      if (asked !== 'not_running') return toJobObject(asked);
      const job = await jobs.get(project, id);
      if (job === null) throw noSuchJob(id);
      const why = job.cancelRequestedAt !== null && job.finishedAt === null ? 'is being cancelled' : `is ${job.status}`;
      throw conflict(`Job ${id} ${why}: only a job that a worker runs can make a checkpoint.`, 'job_not_running', 'id');
    },
  );
};
