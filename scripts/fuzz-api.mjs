/**
 * npm run fuzz -- [--examples 50] [--seconds 300] [--seed 1]: schemathesis against a running server over its own OpenAPI document.
 * Fails on any 5xx, any status, content type or body that the document does not declare. A file, a job and a finished job are there to be found.
 * Installs schemathesis into the cache on first use.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { pythonWith } from '@rowsmith/testkit';
import { openTestApi } from '../apps/api/dist/testing/test-api.js';

const { values } = parseArgs({
  options: {
    examples: { type: 'string', default: '50' },
    seconds: { type: 'string', default: '300' },
    seed: { type: 'string', default: '1' },
  },
});
const python = await pythonWith(['schemathesis==4.32.5']);
const api = await openTestApi({ listen: true });
const folder = await mkdtemp(join(tmpdir(), 'rowsmith-fuzz-'));
try {
  const file = await api.uploadExamples();
  await api.succeed((await api.createJob(file.id)).id, 3);
  await api.createJob(file.id);
  const checks = 'not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance';
  const child = spawn(
    python,
    [
      ...['-m', 'schemathesis.cli', 'run', `${api.url}/openapi.json`, '--no-color', '--checks', checks],
      ...['--header', `Authorization: Bearer ${api.key}`, '--generation-with-security-parameters', 'false'],
      ...['--max-examples', values.examples, '--max-time', values.seconds, '--seed', values.seed, '--continue-on-failure'],
      // Both prefixes have the same handlers; live streams are asked for by a header that the document does not name.
      ...['--include-path-regex', '^/(v1|healthz|readyz|metrics|openapi)', '--request-timeout', '20', '--warnings', 'off'],
    ],
    { cwd: folder, stdio: 'inherit' },
  );
  process.exitCode = await new Promise((done) => child.once('close', (code) => done(code ?? 1)));
} finally {
  await api.close();
  await rm(folder, { recursive: true, force: true });
}
