/** Downloads of a finished job's adapter: one tar, or single files. */

import { createHash } from 'node:crypto';
import { AdapterManifest, parseAs } from '@rowsmith/contracts';
import type { JobRecord, JobStore, ObjectStore } from '@rowsmith/core';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { conflict, noSuchJob, notFound, unavailable } from '../http/api-error.js';
import { projectOf } from '../http/auth.js';
import { content, failures } from '../http/replies.js';
import type { Routes } from '../http/routes.js';
import { attachment, etagOf, isUnchanged, notModified, sendObject } from '../http/send-object.js';
import { adapterFormats, filesOfFormat } from './adapter-files.js';
import { JobParams } from './job-params.js';
import { tarOf, tarSize } from './tar.js';

const AdapterQuery = Type.Object(
  {
    format: Type.Optional(
      Type.Unsafe<(typeof adapterFormats)[number]>(
        Type.String({
          enum: [...adapterFormats],
          description: 'peft (default): a LoRA adapter folder for PEFT, vLLM and others; rows: indices and rows as trained',
        }),
      ),
    ),
  },
  { additionalProperties: false },
);
const AdapterFileParams = Type.Object(
  { ...JobParams.properties, file: Type.String({ minLength: 1, maxLength: 128 }) },
  { additionalProperties: false },
);

export interface AdapterDeps {
  readonly jobs: Pick<JobStore, 'get'>;
  readonly objects: ObjectStore;
}

async function manifestOf(deps: AdapterDeps, request: FastifyRequest, id: string) {
  const job: JobRecord | null = await deps.jobs.get(projectOf(request), id);
  if (job === null) throw noSuchJob(id);
  if (job.adapterManifestKey === null) {
    throw conflict(`Job ${id} has no adapter: it is ${job.status}. Only a job that succeeded has one.`, 'adapter_not_ready');
  }
  const bytes = await deps.objects.getBytes(job.adapterManifestKey);
  if (bytes === null) throw unavailable('The adapter cannot be read now.');
  const manifest = parseAs(AdapterManifest, JSON.parse(Buffer.from(bytes).toString('utf8')), 'adapter manifest');
  return { manifest, sha256: createHash('sha256').update(bytes).digest('hex') };
}

export const adapterRoutes: Routes<AdapterDeps> = (app, deps, prefix) => {
  app.get(
    `${prefix.jobs}/:id/adapter`,
    {
      config: { scope: 'jobs:read' },
      schema: {
        tags: ['fine-tuning'],
        summary: 'Download the adapter as one tar',
        params: JobParams,
        querystring: AdapterQuery,
        response: {
          200: content('The adapter folder; ETag is the SHA-256 of its manifest', 'application/x-tar'),
          304: { description: 'Unchanged', type: 'null' },
          ...failures(404, 409),
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const { format = 'peft' } = request.query;
      const { manifest, sha256 } = await manifestOf(deps, request, id);
      const etag = etagOf(sha256);
      reply.headers({ etag, 'cache-control': 'private, no-cache' });
      if (isUnchanged(request, etag)) return notModified(reply);
      const entries = filesOfFormat(manifest, format);
      reply
        .type('application/x-tar')
        .header('content-length', tarSize(entries))
        .header('content-disposition', attachment(`${id}-${format}.tar`));
      return reply.send(tarOf(deps.objects, entries));
    },
  );

  app.get(
    `${prefix.jobs}/:id/adapter/:file`,
    {
      config: { scope: 'jobs:read' },
      schema: {
        tags: ['fine-tuning'],
        summary: 'Download one file of the adapter',
        params: AdapterFileParams,
        response: {
          200: content('The file; ETag is its SHA-256', 'application/octet-stream', 'application/json', 'text/plain'),
          206: content('The part that Range names', 'application/octet-stream', 'application/json', 'text/plain'),
          304: { description: 'Unchanged', type: 'null' },
          ...failures(404, 409, 416),
        },
      },
    },
    async (request, reply) => {
      const { id, file } = request.params;
      const { manifest } = await manifestOf(deps, request, id);
      const found = manifest.files.find((entry) => entry.name === file);
      if (found === undefined) throw notFound(`The adapter of ${id} has no file '${file}'.`, 'adapter_file_not_found');
      const type = file.endsWith('.json')
        ? 'application/json; charset=utf-8'
        : /\.(md|txt|jinja)$/.test(file)
          ? 'text/plain; charset=utf-8'
          : 'application/octet-stream';
      return sendObject(request, reply, deps.objects, { ...found, type, filename: file });
    },
  );
};
