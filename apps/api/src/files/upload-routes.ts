/** Large files in parts, as OpenAI's Uploads: announce, send parts, complete. */
import { randomBytes } from 'node:crypto';
import { CompleteUploadBody, CreateUploadBody, newId, UploadObject, UploadPartObject } from '@rowsmith/contracts';
import { Type } from 'typebox';
import { projectOf } from '../http/auth.js';
import { discardBody } from '../http/discard-body.js';
import { failures, json, named } from '../http/replies.js';
import type { Routes } from '../http/routes.js';
import { fileTooLarge } from './intake.js';
import { toPartObject, toUploadObject } from './upload-object.js';
import { completeUpload, maxPartBytes, noSuchUpload, pendingUpload, receivePart, type UploadPartDeps } from './upload-parts.js';

const Upload = named(UploadObject, 'Upload');
const UploadParams = Type.Object({ id: Type.String({ minLength: 1, maxLength: 128 }) }, { additionalProperties: false });
/** OpenAI's: an hour after it is created. */
const lifeSeconds = 3_600;
const partOverheadBytes = 16 * 1024;
const partForm = {
  type: 'object',
  required: ['data'],
  properties: { data: { type: 'string', format: 'binary', contentMediaType: 'application/octet-stream', description: 'at most 64 MiB' } },
};

export const uploadRoutes: Routes<UploadPartDeps> = (app, deps, prefix) => {
  app.post(
    prefix.uploads,
    {
      config: { scope: 'files:write', action: 'upload.created' },
      schema: {
        tags: ['files'],
        summary: 'Announce an upload in parts',
        description: 'It has an hour to be completed.',
        body: named(CreateUploadBody, 'CreateUploadRequest'),
        response: { 200: json('The pending upload', Upload), ...failures(413, 415) },
      },
    },
    async (request) => {
      const { filename, bytes, mime_type: mimeType, expires_after: expiry, on_invalid: onInvalid } = request.body;
      if (bytes > deps.maxFileBytes) throw fileTooLarge(deps.maxFileBytes);
      const upload = {
        id: newId('upload', randomBytes),
        projectId: projectOf(request),
        filename,
        mimeType,
        bytes,
        keepInvalid: onInvalid === 'keep',
        fileSeconds: expiry?.seconds ?? null,
      };
      return toUploadObject(await deps.uploads.create(upload, lifeSeconds), null);
    },
  );

  app.post(
    `${prefix.uploads}/:id/parts`,
    {
      onRequest: async (request, reply) => {
        if (Number(request.headers['content-length'] ?? 0) <= maxPartBytes + partOverheadBytes) return;
        discardBody(request, reply);
        throw fileTooLarge(maxPartBytes);
      },
      schema: {
        tags: ['files'],
        summary: 'Send a part',
        description: 'In any order, several at once.',
        params: UploadParams,
        response: { 200: json('The part', named(UploadPartObject, 'UploadPart')), ...failures(404, 413, 415) },
      },
      config: { scope: 'files:write', action: 'upload.part_added', multipartForm: partForm },
    },
    async (request, reply) => {
      try {
        const upload = await pendingUpload(deps, request, request.params.id);
        return toPartObject(upload.id, await receivePart(request, upload, deps));
      } catch (error) {
        discardBody(request, reply);
        throw error;
      }
    },
  );

  app.post(
    `${prefix.uploads}/:id/complete`,
    {
      config: { scope: 'files:write', action: 'upload.completed' },
      schema: {
        tags: ['files'],
        summary: 'Make a file of the parts',
        description: 'Joined in the order of `part_ids`, then validated like any file. If that fails the upload stays pending.',
        params: UploadParams,
        body: named(CompleteUploadBody, 'CompleteUploadRequest'),
        response: { 200: json('The completed upload with its file', Upload), ...failures(404, 413, 415) },
      },
    },
    async (request) => {
      const upload = await pendingUpload(deps, request, request.params.id);
      const file = await completeUpload(upload, request.body, deps);
      return toUploadObject({ ...upload, status: 'completed' }, file);
    },
  );

  app.post(
    `${prefix.uploads}/:id/cancel`,
    {
      config: { scope: 'files:write', action: 'upload.cancelled' },
      schema: {
        tags: ['files'],
        summary: 'Cancel an upload',
        params: UploadParams,
        response: { 200: json('The cancelled upload', Upload), ...failures(404, 413, 415) },
      },
    },
    async (request) => {
      const { id } = request.params;
      const cancelled = await deps.uploads.cancel(projectOf(request), id);
      if (cancelled === null) throw noSuchUpload(id);
      if (cancelled === 'not_pending') {
        await pendingUpload(deps, request, id);
        throw new Error(`upload ${id} is pending again after it was not`);
      }
      return toUploadObject(cancelled, null);
    },
  );
};
