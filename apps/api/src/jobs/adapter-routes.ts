/** Downloads of a finished job's adapter, or of the adapter as it was at a checkpoint: one tar, or single files. */

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
import { type AdapterFormat, filesOfFormat, namedFormats, servedFormat } from './adapter-files.js';
import { type CheckpointAdapterDeps, checkpointAdapter } from './checkpoint-adapter.js';
import { JobParams } from './job-params.js';
import { storedContent, type TarContent, tarOf, tarSize } from './tar.js';

const AdapterQuery = Type.Object(
  {
    format: Type.Optional(
      Type.Unsafe<(typeof namedFormats)[number]>(
        Type.String({
          enum: [...namedFormats],
          description:
            'peft (default): a LoRA adapter folder for PEFT, vLLM and others; rows: indices and rows as trained; merged, gguf: a 400 that says how the client makes them of peft',
        }),
      ),
    ),
    checkpoint: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 100,
        description: 'id of a checkpoint that is kept: the adapter as it was then, of a job in any state',
      }),
    ),
  },
  { additionalProperties: false },
);
const AdapterFileParams = Type.Object(
  { ...JobParams.properties, file: Type.String({ minLength: 1, maxLength: 128 }) },
  { additionalProperties: false },
);

export interface AdapterDeps extends CheckpointAdapterDeps {
  readonly jobs: Pick<JobStore, 'get' | 'checkpoint'>;
  readonly objects: ObjectStore;
}

async function jobOf({ jobs }: AdapterDeps, request: FastifyRequest, id: string): Promise<JobRecord> {
  const job = await jobs.get(projectOf(request), id);
  if (job === null) throw noSuchJob(id);
  return job;
}

async function manifestOf(deps: AdapterDeps, job: JobRecord) {
  if (job.adapterManifestKey === null) {
    const message = `Job ${job.id} has no adapter: it is ${job.status}. Only a job that succeeded has one; \`checkpoint\` asks for the adapter as it was at a checkpoint.`;
    throw conflict(message, 'adapter_not_ready');
  }
  const bytes = await deps.objects.getBytes(job.adapterManifestKey);
  if (bytes === null) throw unavailable('The adapter cannot be read now.');
  const manifest = parseAs(AdapterManifest, JSON.parse(Buffer.from(bytes).toString('utf8')), 'adapter manifest');
  return { manifest, sha256: createHash('sha256').update(bytes).digest('hex') };
}

interface Download {
  readonly sha256: string;
  readonly contents: readonly TarContent[];
  readonly filename: string;
}

async function downloadOf(deps: AdapterDeps, job: JobRecord, format: AdapterFormat, checkpoint: string | undefined): Promise<Download> {
  if (checkpoint !== undefined) {
    const { step, sha256, contents } = await checkpointAdapter(deps, job, checkpoint, format);
    return { sha256, contents, filename: `${job.id}-step-${step}-${format}.tar` };
  }
  const { manifest, sha256 } = await manifestOf(deps, job);
  const contents = filesOfFormat(manifest, format).map((file) => storedContent(deps.objects, file));
  return { sha256, contents, filename: `${job.id}-${format}.tar` };
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
          200: content(
            'The adapter folder; ETag is the SHA-256 of its manifest, at a checkpoint of its names and contents',
            'application/x-tar',
          ),
          304: { description: 'Unchanged', type: 'null' },
          ...failures(404, 409),
        },
      },
    },
    async (request, reply) => {
      const format = servedFormat(request.query.format);
      const job = await jobOf(deps, request, request.params.id);
      const { sha256, contents, filename } = await downloadOf(deps, job, format, request.query.checkpoint);
      const etag = etagOf(sha256);
      reply.headers({ etag, 'cache-control': 'private, no-cache' });
      if (isUnchanged(request, etag)) return notModified(reply);
      reply.type('application/x-tar').header('content-length', tarSize(contents)).header('content-disposition', attachment(filename));
      return reply.send(tarOf(contents));
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
      const { manifest } = await manifestOf(deps, await jobOf(deps, request, id));
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
