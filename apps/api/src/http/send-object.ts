/** Sends one stored object: ETag, conditional requests, a single range. */
import { Readable } from 'node:stream';
import type { ObjectStore } from '@rowsmith/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ApiError, unavailable } from './api-error.js';
import { parseRange } from './byte-range.js';

export interface StoredContent {
  readonly key: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly type: string;
  readonly filename: string;
}

/** `filename*` carries any name safely (RFC 8187); the plain form is for clients that do not read it. */
export const attachment = (filename: string) =>
  `attachment; filename="${filename.replace(/[^A-Za-z0-9._-]/g, '_')}"; filename*=UTF-8''${encodeURIComponent(filename).replace(/['()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)}`;

export const etagOf = (sha256: string) => `"${sha256}"`;

/** Whether the client already has this version. */
export const isUnchanged = (request: FastifyRequest, etag: string) =>
  (request.headers['if-none-match'] ?? '')
    .split(',')
    .some((tag) => tag.trim() === etag || tag.trim() === `W/${etag}` || tag.trim() === '*');

export const notModified = (reply: FastifyReply) => reply.code(304).send();

export async function sendObject(
  request: FastifyRequest,
  reply: FastifyReply,
  objects: ObjectStore,
  stored: StoredContent,
): Promise<FastifyReply> {
  const etag = etagOf(stored.sha256);
  reply.headers({ etag, 'accept-ranges': 'bytes', 'cache-control': 'private, no-cache' });
  if (isUnchanged(request, etag)) return notModified(reply);
  const ifRange = request.headers['if-range'];
  const range = ifRange === undefined || ifRange === etag ? parseRange(request.headers.range, stored.bytes) : null;
  if (range === 'unsatisfiable') {
    throw new ApiError(416, {
      message: `The range lies outside the content, which has ${stored.bytes} bytes.`,
      code: 'range_not_satisfiable',
      headers: { 'content-range': `bytes */${stored.bytes}` },
    });
  }
  const body = await objects.get(stored.key, range ?? undefined);
  if (body === null) throw unavailable('The content of this object cannot be read now.');
  reply.type(stored.type).header('content-disposition', attachment(stored.filename));
  if (range !== null) reply.code(206).header('content-range', `bytes ${range.start}-${range.end}/${stored.bytes}`);
  reply.header('content-length', range === null ? stored.bytes : range.end - range.start + 1);
  return reply.send(Readable.from(body, { objectMode: false }));
}
