/** What Node's parser refuses before there is a request: answered in the same shape as all else, and the connection closed. */
import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import { ApiError } from './api-error.js';

const refusals: Readonly<Record<string, ApiError>> = {
  HPE_HEADER_OVERFLOW: new ApiError(431, { message: 'The URL and the headers together are too long.', code: 'request_header_too_large' }),
  ERR_HTTP_REQUEST_TIMEOUT: new ApiError(408, { message: 'The head of the request did not arrive in time.', code: 'request_timeout' }),
};
const malformed = new ApiError(400, { message: 'This is not a well-formed HTTP request.', code: 'malformed_request' });
const reasons: Readonly<Record<number, string>> = { 400: 'Bad Request', 408: 'Request Timeout', 431: 'Request Header Fields Too Large' };

export function answerClientError(error: Error & { code?: string }, socket: Socket): void {
  // A connection that was reset, or whose answer has begun, can't be told anything.
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable || socket.bytesWritten > 0) {
    socket.destroy();
    return;
  }
  const refusal = refusals[error.code ?? ''] ?? malformed;
  const body = JSON.stringify(refusal.body());
  socket.end(
    [
      `HTTP/1.1 ${refusal.statusCode} ${reasons[refusal.statusCode]}`,
      'content-type: application/json; charset=utf-8',
      `content-length: ${Buffer.byteLength(body)}`,
      `x-request-id: req_${randomUUID().replaceAll('-', '')}`,
      'connection: close',
      '',
      body,
    ].join('\r\n'),
  );
}
