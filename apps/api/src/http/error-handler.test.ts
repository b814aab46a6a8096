/** What of our surroundings failed is 503 with Retry-After, what of us failed is 500; neither tells what happened inside. */
import { open } from 'node:fs/promises';
import { StorageError } from '@rowsmith/storage';
import { expect, test } from 'vitest';
import { asApiError } from './error-handler.js';

const systemError = (code: string) => Object.assign(new Error(`${code}: no space left on device, write '/srv/objects/x'`), { code });

test.each([
  ['a full disk', systemError('ENOSPC'), 503, '10'],
  ['a used-up quota', systemError('EDQUOT'), 503, '10'],
  ['a store that does not answer', new StorageError('storage_unavailable', 'the object store failed (put x)', null), 503, '2'],
  ['a database that starts', { code: 'P2010', meta: { driverAdapterError: { cause: { originalCode: '57P03' } } } }, 503, '2'],
  ['a bug', new TypeError("cannot read 'x' of undefined"), 500, undefined],
  ['a file that is not there', systemError('ENOENT'), 500, undefined],
])('%s', (_name, error, status, retryAfter) => {
  const failure = asApiError(error);
  expect([failure.statusCode, failure.headers['retry-after']]).toEqual([status, retryAfter]);
  expect(JSON.stringify(failure.body())).not.toMatch(/ENOSPC|EDQUOT|srv|57P03|undefined/);
});

test.runIf(process.platform === 'linux')('the error that a full device gives', async () => {
  const full = await open('/dev/full', 'w');
  const error: unknown = await full.writeFile('x').catch((cause: unknown) => cause);
  await full.close();
  expect(asApiError(error).statusCode).toBe(503);
});
