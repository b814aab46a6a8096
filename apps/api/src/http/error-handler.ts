/** Every failure leaves in OpenAI's shape, whichever layer it comes from; a 5xx never tells what happened inside. */
import { QuotaExceededError } from '@rowsmith/core';
import { isDatabaseUnavailable } from '@rowsmith/db';
import { StorageError } from '@rowsmith/storage';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ApiError, quotaExceeded, unavailable } from './api-error.js';
import type { RouteTable } from './route-table.js';

/** Faults that Fastify and its plugins find before our handlers run. */
const known: Readonly<Record<string, (error: FastifyError) => ApiError>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: () =>
    new ApiError(415, {
      message: 'Unsupported content type. Send application/json; files go as multipart/form-data.',
      code: 'unsupported_content_type',
    }),
  FST_ERR_CTP_EMPTY_JSON_BODY: () => new ApiError(400, { message: 'The request body is empty; JSON was announced.', code: 'invalid_json' }),
  FST_ERR_CTP_INVALID_JSON_BODY: () => new ApiError(400, { message: 'The request body is not valid JSON.', code: 'invalid_json' }),
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: () =>
    new ApiError(400, { message: 'The request body is not as long as its Content-Length says.', code: 'invalid_content_length' }),
  FST_ERR_CTP_BODY_TOO_LARGE: () =>
    new ApiError(413, { message: 'The request body is larger than this route takes.', code: 'request_too_large' }),
  FST_ERR_BAD_URL: () => new ApiError(400, { message: 'The URL is not well-formed.', code: 'invalid_url' }),
  FST_ERR_MAX_PARAM_LENGTH: () => new ApiError(400, { message: 'A part of the URL is too long.', code: 'invalid_url' }),
};

/** Of the file system that objects are written to: no space, no quota, no more handles, a disk that fails. */
const storeIsOut = ['ENOSPC', 'EDQUOT', 'EMFILE', 'ENFILE', 'EIO'];

export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof QuotaExceededError) return quotaExceeded(error);
  // What we lean on is away for a moment, killed or restarted: the same request works when it is back.
  if (isDatabaseUnavailable(error)) return unavailable('The database does not answer; try again.');
  if (error instanceof StorageError) return unavailable('The object store does not answer; try again.');
  const { code, statusCode, message } = (error ?? {}) as Partial<FastifyError>;
  const make = code === undefined ? undefined : known[code];
  if (make) return make(error as FastifyError);
  if (code !== undefined && storeIsOut.includes(code)) return unavailable('The object store cannot take more now; try again.', 10);
  // Only Fastify's own 4xx (codes FST_...) are phrased for clients; any other error with a status is someone's internals.
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500 && code?.startsWith('FST_')) {
    return new ApiError(statusCode, { message: message ?? 'Bad request.', code: 'invalid_request' });
  }
  if (error instanceof SyntaxError && statusCode === 400)
    return new ApiError(400, { message: 'The request body is not valid JSON.', code: 'invalid_json' });
  return new ApiError(500, { message: 'The server had an error while processing your request.', code: 'internal_error' });
}

export function sendFailure(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const failure = asApiError(error);
  // Faults in the URL are found before any hook has run.
  reply.header('x-request-id', request.id);
  if (failure.statusCode === 500) request.log.error({ err: error }, 'request failed');
  else if (failure.statusCode === 503 && failure !== error) request.log.warn({ err: error }, 'request failed: try again later');
  return reply
    .code(failure.statusCode)
    .headers(failure.headers)
    .type('application/json; charset=utf-8')
    .send(JSON.stringify(failure.body()));
}

export function useErrorHandler(app: FastifyInstance, routes: RouteTable): void {
  app.setErrorHandler(sendFailure);
  app.setNotFoundHandler((request) => {
    const path = request.url.split('?', 1)[0] ?? '';
    const allowed = routes.methodsOf(path);
    if (allowed.length === 0) throw new ApiError(404, { message: `Unknown request URL: ${request.method} ${path}.`, code: 'unknown_url' });
    throw new ApiError(405, {
      message: `${request.method} is not allowed on ${path}; use ${allowed.join(', ')}.`,
      code: 'method_not_allowed',
      headers: { allow: allowed.join(', ') },
    });
  });
}
