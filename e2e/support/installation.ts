/** One `rowsmith up` as a user would run it: the built programs, a data folder of its own, a free port. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

export const projectRoot = resolve(import.meta.dirname, '../..');
const cli = join(projectRoot, 'apps/cli/bin/rowsmith.js');

export interface Running {
  readonly url: string;
  readonly apiKey: string;
  readonly dataDir: string;
  readonly process: ChildProcess;
  readonly pids: Readonly<Record<string, number>>;
  /** Requests with the key; `path` may start with /v1 or not. */
  request(path: string, init?: RequestInit): Promise<Response>;
  json<T>(path: string, init?: RequestInit): Promise<T>;
  /** Ctrl-C; resolves with the exit code. */
  stop(): Promise<number | null>;
}

export async function newDataDir(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'rowsmith-e2e-'));
}
export const removeDataDir = (dataDir: string) => rm(dataDir, { recursive: true, force: true });

/** Starts `rowsmith up` and waits for its ready line. Output of a start that fails is in the error. */
export async function up(dataDir: string, env: NodeJS.ProcessEnv = {}): Promise<Running> {
  const child = spawn(process.execPath, [cli, 'up', '--port', '0', '--data', dataDir, '--json'], {
    cwd: projectRoot,
    env: { ...process.env, ROWSMITH_API_KEY: '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const ended = new Promise<number | null>((done) => child.once('close', done));
  const ready = new Promise<{ url: string; pids: Record<string, number> }>((done, failed) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      output += `${line}\n`;
      const state = JSON.parse(line) as { state: string; url: string; pids: Record<string, number> };
      if (state.state === 'ready') done(state);
    });
    void ended.then((code) => failed(new Error(`rowsmith up ended with ${code}:\n${output}`)));
  });
  const { url, pids } = await ready;
  const apiKey = env['ROWSMITH_API_KEY'] ?? (await readFile(join(dataDir, 'api-key'), 'utf8')).trim();
  const request = (path: string, init: RequestInit = {}) =>
    fetch(`${url}${path}`, { ...init, headers: { authorization: `Bearer ${apiKey}`, ...init.headers } });
  return {
    url,
    apiKey,
    dataDir,
    process: child,
    pids,
    request,
    async json<T>(path: string, init?: RequestInit) {
      const response = await request(path, init);
      const body: unknown = await response.json();
      if (!response.ok) throw new Error(`${init?.method ?? 'GET'} ${path}: ${response.status} ${JSON.stringify(body)}`);
      return body as T;
    },
    async stop() {
      child.kill('SIGINT');
      return ended;
    },
  };
}

/** Runs the CLI to its end. `input`: what stdin brings; `until`: Ctrl-C once stderr has said this. */
export function rowsmith(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  { input, until }: { readonly input?: string; readonly until?: string } = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((done) => {
    const child = spawn(process.execPath, [cli, ...args], {
      cwd: projectRoot,
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    child.stdin.end(input ?? '');
    let told = until === undefined;
    const text = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text.stdout += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      text.stderr += chunk;
      if (told || !text.stderr.includes(until ?? '')) return;
      told = true;
      child.kill('SIGINT');
    });
    child.once('close', (code) => done({ code, ...text }));
  });
}

/** Pids whose parent is `pid` (Linux). */
export async function childrenOf(pid: number): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
    if (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === pid) found.push(Number(name));
  }
  return found;
}
