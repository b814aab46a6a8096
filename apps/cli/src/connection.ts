/** Where the API is and which key to send: flags, then environment, then what `rowsmith up` left in the data folder. */
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { CliError, exitCodes } from './exit.js';

export interface ConnectionOptions {
  readonly url?: string | undefined;
  readonly apiKey?: string | undefined;
  readonly data?: string | undefined;
}
export interface Connection {
  readonly baseUrl: string;
  readonly apiKey: string;
}
type Env = Readonly<Record<string, string | undefined>>;

const readOrNull = (file: string) =>
  readFile(file, 'utf8').then(
    (text) => text.trim(),
    () => null,
  );

/** The data folder that `--data`, ROWSMITH_DATA or the current folder names. */
export const dataFolder = (options: ConnectionOptions, env: Env) => resolve(options.data || env['ROWSMITH_DATA'] || '.rowsmith');

/** URL that a running `rowsmith up` published in its lock file. */
async function publishedUrl(data: string): Promise<string | null> {
  const lock = await readOrNull(join(data, 'up.lock'));
  if (lock === null) return null;
  try {
    const { url } = JSON.parse(lock) as { url?: unknown };
    return typeof url === 'string' ? url : null;
  } catch {
    return null;
  }
}

/** Throws CliError with the repair when no key is to be found. */
export async function findConnection(options: ConnectionOptions, env: Env): Promise<Connection> {
  const data = dataFolder(options, env);
  const baseUrl = options.url || env['ROWSMITH_URL'] || (await publishedUrl(data)) || 'http://127.0.0.1:8080';
  if (!URL.canParse(baseUrl)) throw new CliError(`--url must be a URL such as http://127.0.0.1:8080, not "${baseUrl}"`, exitCodes.usage);
  const apiKey = options.apiKey || env['ROWSMITH_API_KEY'] || (await readOrNull(join(data, 'api-key')));
  if (!apiKey) {
    throw new CliError(
      `No API key: pass --api-key, set ROWSMITH_API_KEY, or run in the folder where \`rowsmith up\` keeps its data (looked in ${data}).`,
      exitCodes.usage,
    );
  }
  return { baseUrl: baseUrl.replace(/\/+$/, ''), apiKey };
}
