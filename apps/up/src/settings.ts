/** What `rowsmith up` was asked to do: flags first, then environment, then defaults; all faults are reported at once. */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { storageSettings } from '@rowsmith/storage';

export interface UpSettings {
  readonly host: string;
  readonly port: number;
  readonly dataDir: string;
  /** Given by the user; null = the kept one, or a fresh one. */
  readonly apiKey: string | null;
  /** An outside Postgres instead of the embedded one. */
  readonly databaseUrl: string | null;
  readonly redisUrl: string | null;
  /** Machine-readable lines instead of text, for programs that start us. */
  readonly json: boolean;
}

export class UpSettingsError extends Error {
  override readonly name = 'UpSettingsError';
  constructor(readonly faults: readonly string[]) {
    super(faults.join('\n'));
  }
}

export const upUsage = `Usage: rowsmith up [options]

Starts the API and one worker on this machine, with an embedded Postgres.

  --port <n>        port of the API (ROWSMITH_PORT, 8080; 0 = any free one)
  --host <address>  address to listen on (ROWSMITH_HOST, 127.0.0.1)
  --data <folder>   where everything is kept (ROWSMITH_DATA, ./.rowsmith)
  --api-key <key>   key that clients must send (ROWSMITH_API_KEY; else made once, shown once, kept in <data>/api-key)
  --json            one JSON line per state change instead of text
  --help            this text

DATABASE_URL names a Postgres to use instead of the embedded one; REDIS_URL moves the queue to Redis.
ROWSMITH_STORAGE=s3 keeps objects in a bucket: ROWSMITH_S3_BUCKET, ROWSMITH_S3_ENDPOINT (else AWS), ROWSMITH_S3_REGION, ROWSMITH_S3_PREFIX; credentials in AWS_*.
`;

/** Throws UpSettingsError with every fault. Empty environment values count as absent. */
export function readUpSettings(args: readonly string[], env: Readonly<Record<string, string | undefined>>): UpSettings | 'help' {
  const faults: string[] = [];
  let flags: Record<string, string | boolean | undefined> = {};
  try {
    flags = parseArgs({
      args: [...args],
      options: {
        port: { type: 'string' },
        host: { type: 'string' },
        data: { type: 'string' },
        'api-key': { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new UpSettingsError([error instanceof Error ? error.message : String(error)]);
  }
  if (flags['help']) return 'help';
  const text = (flag: string, name: string): string | null => {
    const value = flags[flag] ?? env[name];
    return typeof value === 'string' && value !== '' ? value : null;
  };
  const portText = text('port', 'ROWSMITH_PORT') ?? '8080';
  const port = Number(portText);
  if (!/^\d+$/.test(portText) || port > 65535) faults.push(`--port (ROWSMITH_PORT) must be a number from 0 to 65535, not "${portText}"`);
  const apiKey = text('api-key', 'ROWSMITH_API_KEY');
  if (apiKey !== null && !/^[\x21-\x7e]{8,256}$/.test(apiKey)) {
    faults.push('--api-key (ROWSMITH_API_KEY) must be 8 to 256 visible ASCII characters without spaces');
  }
  const url = (name: string, protocols: readonly string[]): string | null => {
    const value = env[name];
    if (value === undefined || value === '') return null;
    if (!URL.canParse(value) || !protocols.includes(new URL(value).protocol))
      faults.push(`${name} must be a URL that starts with ${protocols.join(' or ')}//`);
    return value;
  };
  const databaseUrl = url('DATABASE_URL', ['postgres:', 'postgresql:']);
  const redisUrl = url('REDIS_URL', ['redis:', 'rediss:']);
  const dataDir = resolve(text('data', 'ROWSMITH_DATA') ?? '.rowsmith');
  faults.push(...storageSettings(env, dataDir).faults);
  if (faults.length > 0) throw new UpSettingsError(faults);
  return {
    host: text('host', 'ROWSMITH_HOST') ?? '127.0.0.1',
    port,
    dataDir,
    apiKey,
    databaseUrl,
    redisUrl,
    json: flags['json'] === true,
  };
}
