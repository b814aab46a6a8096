/** Downloads of the scores that chose a job's rows. */
import { createHash } from 'node:crypto';
import { parseAs, ScoresManifest, ScoresReference, ScoresSummary, scoresKeyOf } from '@rowsmith/contracts';
import type { JobStore, ObjectStore } from '@rowsmith/core';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { noSuchJob, notFound, unavailable } from '../http/api-error.js';
import { projectOf } from '../http/auth.js';
import { content, failures, streamed } from '../http/replies.js';
import type { Routes } from '../http/routes.js';
import { etagOf, isUnchanged, notModified, sendObject } from '../http/send-object.js';
import { JobParams } from './job-params.js';

const formats = ['safetensors', 'json'] as const;
const ScoresQuery = Type.Object(
  {
    format: Type.Optional(
      Type.Unsafe<(typeof formats)[number]>(
        Type.String({
          enum: [...formats],
          description:
            'safetensors (default): per linear `<name>.rows` F32 [out] and `<name>.columns` F32 [in]; json: what they depend on, and mean and largest of each linear',
        }),
      ),
    ),
  },
  { additionalProperties: false },
);

export interface ScoresDeps {
  readonly jobs: Pick<JobStore, 'get'>;
  readonly objects: ObjectStore;
}

async function manifestOf({ jobs, objects }: ScoresDeps, request: FastifyRequest, id: string) {
  const job = await jobs.get(projectOf(request), id);
  if (job === null) throw noSuchJob(id);
  const reference = await objects.getBytes(scoresKeyOf(job.id));
  if (reference === null)
    throw notFound(`Job ${id} has no scores: it is ${job.status}, or its rows came from elsewhere than scores.`, 'scores_not_found');
  const { manifest } = parseAs(ScoresReference, JSON.parse(Buffer.from(reference).toString('utf8')), 'scores reference');
  const bytes = await objects.getBytes(manifest.key);
  if (bytes === null || createHash('sha256').update(bytes).digest('hex') !== manifest.sha256)
    throw unavailable('The scores cannot be read now: they are missing or damaged. The next job that scores the same writes them again.');
  return { sha256: manifest.sha256, manifest: parseAs(ScoresManifest, JSON.parse(Buffer.from(bytes).toString('utf8')), 'scores manifest') };
}

export const scoresRoutes: Routes<ScoresDeps> = (app, deps, prefix) => {
  app.get(
    `${prefix.jobs}/:id/scores`,
    {
      config: { scope: 'jobs:read' },
      schema: {
        tags: ['fine-tuning'],
        summary: 'Download the scores that chose the rows',
        params: JobParams,
        querystring: ScoresQuery,
        response: {
          200: {
            description: 'The scores; ETag is the SHA-256 of what is stored',
            content: { 'application/octet-stream': { schema: streamed }, 'application/json': { schema: ScoresSummary } },
          },
          206: content('The part that Range names', 'application/octet-stream'),
          304: { description: 'Unchanged', type: 'null' },
          ...failures(404, 416),
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const { manifest, sha256 } = await manifestOf(deps, request, id);
      if (request.query.format !== 'json')
        return sendObject(request, reply, deps.objects, {
          ...manifest.file,
          type: 'application/octet-stream',
          filename: `${id}-scores.safetensors`,
        });
      const etag = etagOf(sha256);
      reply.headers({ etag, 'cache-control': 'private, no-cache' });
      if (isUnchanged(request, etag)) return notModified(reply);
      const { file, ...summary } = manifest;
      return reply.type('application/json').send({ ...summary, sha256: file.sha256, bytes: file.bytes });
    },
  );
};
