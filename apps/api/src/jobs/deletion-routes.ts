/** The end of a job's record. What the collector does with its objects is decided by `ReferenceStore`, from the same rows. */
import { JobDeleted } from '@rowsmith/contracts';
import type { JobStore } from '@rowsmith/core';
import { resultFileId } from '../control/result-file.js';
import { conflict, noSuchJob } from '../http/api-error.js';
import { projectOf } from '../http/auth.js';
import { failures, json, named } from '../http/replies.js';
import type { Routes } from '../http/routes.js';
import { JobParams } from './job-params.js';

export interface DeletionDeps {
  readonly jobs: Pick<JobStore, 'get' | 'delete'>;
}

export const deletionRoutes: Routes<DeletionDeps> = (app, { jobs }, prefix) => {
  app.delete(
    `${prefix.jobs}/:id`,
    {
      config: { scope: 'jobs:write', action: 'job.deleted' },
      schema: {
        tags: ['fine-tuning'],
        summary: 'Delete a finished job',
        description:
          'Gone for good, and from every list: the job, its model, result file, events, metrics, checkpoints and adapter. Their objects are removed within about a day. Jobs that started from it go on, and what they still need of it stays until they have ended; its device time still counts. Training files stay. A job that is not finished is a 409 `job_not_finished`: cancel it first. An Idempotency-Key that made it is a 404 for as long as keys count.',
        params: JobParams,
        response: { 200: json('It is gone', named(JobDeleted, 'FineTuningJobDeleted')), ...failures(404, 409) },
      },
    },
    async (request) => {
      const { id } = request.params;
      const project = projectOf(request);
      const outcome = await jobs.delete(project, id, resultFileId(id));
      if (outcome === null) throw noSuchJob(id);
      if (outcome === 'unfinished') {
        const status = (await jobs.get(project, id))?.status ?? 'unfinished';
        throw conflict(`Job ${id} cannot be deleted: it is ${status}. Cancel it first, and wait for its end.`, 'job_not_finished', 'id');
      }
      return { id, object: 'fine_tuning.job' as const, deleted: true };
    },
  );
};
