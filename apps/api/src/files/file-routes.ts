/** Training data in, result files out. */
import {
  FileDeleted,
  FileObject,
  type FilePurpose,
  FileReport,
  filePurposes,
  listOf,
  type TrainOn,
  trainOnNames,
} from '@rowsmith/contracts';
import type { FileStore } from '@rowsmith/core';
import { Type } from 'typebox';
import { badRequest, conflict, noSuchFile } from '../http/api-error.js';
import { projectOf } from '../http/auth.js';
import { discardBody } from '../http/discard-body.js';
import { listOfItems, pageQuery, requireCursor } from '../http/paging.js';
import { content, failures, json, named } from '../http/replies.js';
import type { Routes } from '../http/routes.js';
import { sendObject } from '../http/send-object.js';
import type { BaseModels } from '../models/base-models.js';
import type { TokenCounter } from '../models/token-counter.js';
import { toFileObject } from './file-object.js';
import { fileTooLarge } from './intake.js';
import { receiveFile, type UploadDeps } from './upload.js';

export interface FileDeps extends UploadDeps {
  readonly files: FileStore;
  readonly models: Pick<BaseModels, 'get'>;
  readonly tokens: TokenCounter;
}

const FileParams = Type.Object({ id: Type.String({ minLength: 1, maxLength: 128 }) }, { additionalProperties: false });
const ListQuery = Type.Object(
  {
    ...pageQuery(10_000, 10_000),
    purpose: Type.Optional(Type.Unsafe<FilePurpose>(Type.String({ enum: [...filePurposes] }))),
    order: Type.Optional(
      Type.Unsafe<'asc' | 'desc'>(Type.String({ enum: ['asc', 'desc'], description: 'by time of creation; desc if not given' })),
    ),
  },
  { additionalProperties: false },
);
const ReportQuery = Type.Object(
  {
    model: Type.Optional(Type.String({ minLength: 1, maxLength: 256, description: 'base model whose tokens are counted' })),
    max_seq_length: Type.Optional(
      Type.Integer({ minimum: 8, maximum: 131072, description: 'tokens; 1024 or what the model takes if not given' }),
    ),
    train_on: Type.Optional(Type.Unsafe<TrainOn>(Type.String({ enum: [...trainOnNames] }))),
  },
  { additionalProperties: false },
);
/** Boundaries, part headers and the other fields of the form. */
const formOverheadBytes = 64 * 1024;

const formSchema = {
  type: 'object',
  required: ['file', 'purpose'],
  properties: {
    file: { type: 'string', format: 'binary', contentMediaType: 'application/octet-stream', description: 'JSON lines' },
    purpose: { type: 'string', enum: ['fine-tune'] },
    on_invalid: { type: 'string', enum: ['refuse', 'keep'], description: 'before the file: what happens if lines cannot be trained on' },
    'expires_after[anchor]': { type: 'string', enum: ['created_at'] },
    'expires_after[seconds]': { type: 'integer', minimum: 3600, maximum: 2592000 },
  },
};

export const fileRoutes: Routes<FileDeps> = (app, deps, prefix) => {
  app.post(
    prefix.files,
    {
      // The claim of a body that is too large is refused before a byte of it is read.
      onRequest: async (request, reply) => {
        if (Number(request.headers['content-length'] ?? 0) <= deps.maxFileBytes + formOverheadBytes) return;
        discardBody(request, reply);
        throw fileTooLarge(deps.maxFileBytes);
      },
      schema: {
        tags: ['files'],
        summary: 'Upload a JSONL file',
        description: 'Validated while it arrives; a file with bad lines is refused with every line named, and nothing is kept of it.',
        response: { 200: json('The stored file', named(FileObject, 'File')), ...failures(413, 415) },
      },
      config: { scope: 'files:write', action: 'file.created', multipartForm: formSchema },
    },
    async (request, reply) => {
      try {
        return toFileObject(await receiveFile(request, deps));
      } catch (error) {
        discardBody(request, reply);
        throw error;
      }
    },
  );

  app.get(
    prefix.files,
    {
      config: { scope: 'files:read' },
      schema: {
        tags: ['files'],
        summary: 'List files',
        querystring: ListQuery,
        response: { 200: json('Files', listOf(named(FileObject, 'File'))), ...failures() },
      },
    },
    async (request) => {
      const { after, limit = 10_000, order = 'desc', purpose } = request.query;
      await requireCursor(after, (id) => deps.files.get(projectOf(request), id), 'file');
      return listOfItems(await deps.files.list(projectOf(request), { after, limit, order, purpose }), toFileObject);
    },
  );

  app.get(
    `${prefix.files}/:id`,
    {
      config: { scope: 'files:read' },
      schema: {
        tags: ['files'],
        summary: 'Get a file',
        params: FileParams,
        response: { 200: json('The file', named(FileObject, 'File')), ...failures(404) },
      },
    },
    async (request) => {
      const file = await deps.files.get(projectOf(request), request.params.id);
      if (file === null) throw noSuchFile(request.params.id);
      return toFileObject(file);
    },
  );

  app.get(
    `${prefix.files}/:id/report`,
    {
      config: { scope: 'files:read' },
      schema: {
        tags: ['files'],
        summary: 'What was found in a file',
        description: 'Every fault of every line up to 1000, duplicates, and with `model` the lengths of its examples under that model.',
        params: FileParams,
        querystring: ReportQuery,
        response: { 200: json('The report', named(FileReport, 'FileReport')), ...failures(404) },
      },
    },
    async (request) => {
      const { id } = request.params;
      const project = projectOf(request);
      const file = await deps.files.get(project, id);
      const findings = file && (await deps.files.findings(project, id));
      if (file === null) throw noSuchFile(id);
      if (findings === null) throw badRequest(`File ${id} is no training data: there is no report on it.`, 'invalid_file_purpose', 'id');
      const { model: modelId, max_seq_length: length, train_on: trainOn = 'assistant' } = request.query;
      if (modelId === undefined) return { object: 'file.report' as const, file_id: id, ...findings, tokens: null };
      const model = await deps.models.get(modelId);
      if (model === null)
        throw badRequest(`The model '${modelId}' does not exist. GET /models lists the base models.`, 'model_not_found', 'model');
      const maxSeqLength = length ?? Math.min(1024, model.config.max_position_embeddings);
      return {
        object: 'file.report' as const,
        file_id: id,
        ...findings,
        tokens: await deps.tokens.count(file, model, { maxSeqLength, trainOn }),
      };
    },
  );

  app.delete(
    `${prefix.files}/:id`,
    {
      config: { scope: 'files:write', action: 'file.deleted' },
      schema: {
        tags: ['files'],
        summary: 'Delete a file',
        params: FileParams,
        response: { 200: json('It is gone', named(FileDeleted, 'FileDeleted')), ...failures(404, 409) },
      },
    },
    async (request) => {
      const { id } = request.params;
      const deleted = await deps.files.delete(projectOf(request), id);
      if (deleted === null) throw noSuchFile(id);
      if (deleted === 'in_use')
        throw conflict(`File ${id} is read by a job that is not finished; cancel the job or wait for it.`, 'file_in_use', 'id');
      await deps.objects.delete(deleted.key);
      return { id, object: 'file' as const, deleted: true };
    },
  );

  app.get(
    `${prefix.files}/:id/content`,
    {
      config: { scope: 'files:read' },
      schema: {
        tags: ['files'],
        summary: "A file's content",
        params: FileParams,
        response: {
          200: content('The whole content; ETag is its SHA-256', 'application/jsonl', 'text/csv'),
          206: content('The part that Range names', 'application/jsonl', 'text/csv'),
          304: { description: 'Unchanged', type: 'null' },
          ...failures(404, 416),
        },
      },
    },
    async (request, reply) => {
      const file = await deps.files.get(projectOf(request), request.params.id);
      if (file === null) throw noSuchFile(request.params.id);
      const type = file.purpose === 'fine-tune-results' ? 'text/csv; charset=utf-8' : 'application/jsonl';
      return sendObject(request, reply, deps.objects, { ...file, type });
    },
  );
};
