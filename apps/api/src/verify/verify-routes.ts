/** Recomputes what a job's checkpoints and adapter are said to be. */
import { Readable } from 'node:stream';
import { Verification, type VerificationLine, VerificationLink } from '@rowsmith/contracts';
import type { CheckpointRecord, JobRecord, JobStore, ObjectStore } from '@rowsmith/core';
import { Type } from 'typebox';
import { noSuchJob } from '../http/api-error.js';
import { projectOf } from '../http/auth.js';
import { failures, named } from '../http/replies.js';
import type { Routes } from '../http/routes.js';
import { JobParams } from '../jobs/job-params.js';
import type { BaseModels } from '../models/base-models.js';
import { verifyJob } from './verify-job.js';

export interface VerifyDeps {
  readonly jobs: Pick<JobStore, 'get' | 'checkpoints'>;
  readonly objects: Pick<ObjectStore, 'get'>;
  readonly models: Pick<BaseModels, 'get'>;
  /** Aborted when the server stops: the stream then ends without a verdict. */
  readonly closing: AbortSignal;
}

const pageSize = 100;

async function recordedOf(jobs: VerifyDeps['jobs'], { projectId, id }: JobRecord): Promise<readonly CheckpointRecord[]> {
  const all: CheckpointRecord[] = [];
  for (;;) {
    const page = await jobs.checkpoints(projectId, id, { after: all.at(-1)?.id, limit: pageSize });
    if (page === null || page === 'no_cursor') return all;
    all.push(...page.items);
    if (!page.hasMore) return all;
  }
}

async function* textOf(lines: AsyncGenerator<VerificationLine, void, void>, closing: AbortSignal): AsyncGenerator<string, void, void> {
  for await (const line of lines) {
    if (closing.aborted) return;
    yield `${JSON.stringify(line)}\n`;
  }
}

/** Sent as a stream, so nothing is serialised by it. */
const Line = Type.Unsafe<unknown>({
  oneOf: [named(VerificationLink, 'VerificationLink'), named(Verification, 'Verification')],
});

export const verifyRoutes: Routes<VerifyDeps> = (app, { jobs, objects, models, closing }, prefix) => {
  app.get(
    `${prefix.jobs}/:id/verify`,
    {
      config: { scope: 'jobs:read' },
      schema: {
        tags: ['fine-tuning'],
        summary: 'Verify the chain of a job',
        description:
          'Reads and hashes the adapter, every checkpoint that is kept and the data, and compares them with what manifests and tables say, back to the first checkpoint. One JSON object a line, as it is found; the last is the verdict. The answer to a broken chain is 200 too.',
        params: JobParams,
        response: {
          200: { description: 'Lines: links, then the verdict', content: { 'application/x-ndjson': { schema: Line } } },
          ...failures(404),
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const job = await jobs.get(projectOf(request), id);
      if (job === null) throw noSuchJob(id);
      const model = await models.get(job.spec.model);
      const lines = verifyJob({
        ...{ job, objects, recorded: () => recordedOf(jobs, job) },
        tokenizerSha256: model?.base_sha256 === job.spec.base_sha256 ? model.tokenizer_sha256 : null,
      });
      return reply
        .type('application/x-ndjson; charset=utf-8')
        .header('cache-control', 'no-store')
        .send(Readable.from(textOf(lines, closing), { objectMode: false }));
    },
  );
};
