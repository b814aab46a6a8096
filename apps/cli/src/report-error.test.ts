import { RowsmithApiError } from '@rowsmith/client';
import { expect, test } from 'vitest';
import { CliError, exitCodes } from './exit.js';
import { describeError, errorLine } from './report-error.js';

test('a refusal shows the API message and the field, and has its own exit code', () => {
  const refused = new RowsmithApiError(400, 'unknown_parameter', 'row_sparse.rowz', 'invalid_request_error', 'req_1', 'Unknown parameter.');
  expect(describeError(refused)).toEqual({ text: 'Unknown parameter. (row_sparse.rowz)', exitCode: exitCodes.refused });
  const broken = new RowsmithApiError(500, null, null, 'server_error', 'req_2', 'Internal error.');
  expect(describeError(broken)).toEqual({ text: 'Internal error.\nRequest id: req_2', exitCode: exitCodes.server });
});

test('with --json an error says its kind, so that a script tells a wrong key from a wrong id', () => {
  const gone = new RowsmithApiError(404, 'job_not_found', 'id', 'invalid_request_error', 'req_1', 'No such job.');
  expect(JSON.parse(errorLine(gone))).toEqual({
    error: {
      message: 'No such job.',
      exit_code: 3,
      kind: 'not_found',
      status: 404,
      code: 'job_not_found',
      param: 'id',
      request_id: 'req_1',
    },
  });
  expect(JSON.parse(errorLine(new CliError('why', 2)))).toMatchObject({ error: { message: 'why', exit_code: 2, kind: null } });
});

test('no server, missing file, own errors and bugs are told apart', async () => {
  const unreachable = await fetch('http://127.0.0.1:1/').catch((error: unknown) => error);
  expect(describeError(unreachable)).toMatchObject({ exitCode: exitCodes.unreachable, text: expect.stringContaining('rowsmith up') });
  expect(describeError(Object.assign(new Error('no such file'), { code: 'ENOENT', path: 'x.jsonl' }))).toMatchObject({
    exitCode: exitCodes.usage,
  });
  expect(describeError(new CliError('why', 5))).toEqual({ text: 'why', exitCode: 5 });
  expect(describeError(new Error('bug')).text).toContain('report-error.test');
});
