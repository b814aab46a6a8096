/** schemathesis (PyPI, in an environment of its own) against a running server over its own OpenAPI document. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pythonWith } from '@rowsmith/testkit';
import type { TestApi } from './test-api.js';

export interface FuzzOptions {
  /** Most requests drawn for a route, beside those that its schema's edges make. */
  readonly examples: number;
  /** Ends drawing after so long. */
  readonly seconds: number;
  readonly seed: number;
  /** Of its phases; all of them when left out. */
  readonly phases?: readonly string[];
  /** Only routes whose path matches. */
  readonly paths?: string;
  readonly onOutput: (text: string) => void;
}

const checks = 'not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance';

export const fuzzPython = () => pythonWith(['schemathesis==4.32.5']);

/** Fails (exit code not 0) on any 5xx, and any status, content type or body that the document does not declare. A file, a job and a finished one are there to be found. */
export async function fuzz(
  python: string,
  api: TestApi,
  { examples, seconds, seed, phases, paths, onOutput }: FuzzOptions,
): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'rowsmith-fuzz-'));
  try {
    const file = await api.uploadExamples();
    await api.succeed((await api.createJob(file.id)).id, 3);
    await api.createJob(file.id);
    const child = spawn(
      python,
      [
        ...['-m', 'schemathesis.cli', 'run', `${api.url}/openapi.json`, '--no-color', '--checks', checks],
        ...['--header', `Authorization: Bearer ${api.key}`, '--generation-with-security-parameters', 'false'],
        ...['--max-examples', String(examples), '--max-time', String(seconds), '--seed', String(seed), '--continue-on-failure'],
        ...(phases === undefined ? [] : ['--phases', phases.join(',')]),
        ...(paths === undefined ? [] : ['--include-path-regex', paths]),
        ...['--request-timeout', '20', '--warnings', 'off'],
      ],
      { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', onOutput);
    return await new Promise((done) => child.once('close', (code) => done(code ?? 1)));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
