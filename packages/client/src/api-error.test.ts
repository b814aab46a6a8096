import { expect, test } from 'vitest';
import { apiError } from './api-error.js';

const errorOf = (status: number, body: unknown = null) =>
  apiError(new Response(null, { status, headers: { 'x-request-id': 'req_1' } }), body);

test.each([
  [400, 'invalid_request', false],
  [401, 'authentication', false],
  [403, 'permission', false],
  [404, 'not_found', false],
  [409, 'conflict', false],
  [422, 'invalid_request', false],
  [429, 'rate_limited', true],
  [500, 'server', true],
  [503, 'server', true],
] as const)('%i is %s', (status, kind, retryable) => {
  const error = errorOf(status);
  expect([error.kind, error.retryable]).toEqual([kind, retryable]);
});

test("the words are the API's; those of a proxy are not taken for it", () => {
  const body = { error: { message: 'No.', type: 'invalid_request_error', param: 'model', code: 'model_not_found' } };
  expect(errorOf(404, body)).toMatchObject({ message: 'No.', code: 'model_not_found', param: 'model', requestId: 'req_1' });
  expect(errorOf(502, '<html>')).toMatchObject({ code: null, type: 'unexpected_response', message: 'HTTP 502' });
});

test('a quota that is used up is told from asking too often: trying again does not help', () => {
  const body = { error: { message: 'No.', type: 'insufficient_quota', param: 'queued_jobs', code: 'quota_exceeded' } };
  const { kind, retryable } = errorOf(429, body);
  expect({ kind, retryable }).toEqual({ kind: 'quota', retryable: false });
});
