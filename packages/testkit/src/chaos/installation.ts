/** A whole installation from the built programs: surroundings behind proxies, one API or more, workers with their trainers, a tiny model. */
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type AdapterManifest, newId } from '@rowsmith/contracts';
import { type OpenObjectStore, openObjectStore } from '@rowsmith/storage';
import { type FaultProxy, startFaultProxy } from '../fault-proxy.js';
import { freePort } from '../postgres.js';
import { addTinyModel } from '../tiny-model.js';
import { KeptProcess } from './kept-process.js';
import { Ledger } from './ledger.js';
import type { ChaosSurroundings, WayName } from './plan.js';
import { bucket, type OpenSurroundings, openSurroundings } from './surroundings.js';
import type { Violation } from './verdict.js';

export interface KeptWorker {
  readonly id: string;
  readonly process: KeptProcess;
  /** What libfaketime reads; null: the clock stays right. */
  readonly clockFile: string | null;
}
export interface Installation {
  /** Of the API, on the way that can be broken. */
  readonly url: string;
  readonly key: string;
  readonly dataDir: string;
  readonly api: KeptProcess;
  /** Beside it on the same database, queue and store; not on a way that can be broken. */
  readonly moreApis: readonly { readonly url: string; readonly process: KeptProcess }[];
  readonly workers: readonly KeptWorker[];
  readonly surroundings: OpenSurroundings;
  /** Every way between two processes that can be broken. */
  readonly ways: Readonly<Partial<Record<WayName, FaultProxy>>>;
  readonly ledger: Ledger;
  /** Past the proxies. */
  readonly objects: OpenObjectStore;
  /** SHA-256 of an adapter's files that say nothing of the job, each hashed again. */
  adapterFiles(manifestKey: string): Promise<Record<string, string>>;
  trainerOf(worker: KeptWorker): Promise<number | null>;
  /** Ends the service in its order, then says what is wrong with how it ended; then everything else. */
  stop(): Promise<Violation[]>;
}

/** Silence after which an attempt counts as lost: the shortest that the API takes. */
const staleSeconds = 5;
const smallDiskBytes = 64 << 20;
const program = (room: string) => fileURLToPath(new URL(`../../../../apps/${room}/dist/main.js`, import.meta.url));

export async function openInstallation(
  folder: string,
  options: ChaosSurroundings & { readonly workers: number; readonly apis?: number; readonly onDeath: (violation: Violation) => void },
): Promise<Installation> {
  for (const room of ['api', 'worker', 'trainer'])
    if (!existsSync(program(room))) throw new Error(`${program(room)} is not built: run npx tsc -b`);
  const undo: (() => Promise<void>)[] = [];
  const close = async () => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
  };
  try {
    const [dataDir, models, logs] = [join(folder, 'data'), join(folder, 'models'), join(folder, 'logs')];
    for (const path of [dataDir, models, logs]) await mkdir(path, { recursive: true });
    if (options.smallDisk) {
      const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${smallDiskBytes}`, 'tmpfs', dataDir], {
        encoding: 'utf8',
      });
      if (status !== 0) throw new Error(`the small disk cannot be mounted: ${stderr}`);
      undo.push(async () => {
        spawnSync('umount', ['--lazy', dataDir], { stdio: 'ignore' });
      });
    }
    await addTinyModel(models);
    const surroundings = await openSurroundings(folder, options);
    undo.push(() => surroundings.stop());
    const { s3Direct, env: around } = surroundings;
    // The SDK reads its credentials from the environment, in this process as in the service's.
    for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']) if (around[name]) process.env[name] = around[name];
    const objects = await openObjectStore(
      s3Direct === null ? { driver: 'fs', root: join(dataDir, 'objects') } : { driver: 's3', ...bucket, endpoint: s3Direct },
    );
    undo.push(async () => objects.close());
    await objects.prepare();

    const common = {
      ...{ PATH: process.env['PATH'], HOME: process.env['HOME'], ROWSMITH_CACHE: process.env['ROWSMITH_CACHE'] },
      ...{ ROWSMITH_DATA: dataDir, ROWSMITH_MODELS: models },
      ...around,
    };
    const kept = (name: string, room: string, env: NodeJS.ProcessEnv) =>
      new KeptProcess({
        ...{ name, program: program(room), env: { ...common, ...env }, logFile: join(logs, `${name}.log`) },
        onDeath: ({ code, signal }) =>
          options.onDeath({
            rule: 'no process ends by itself',
            found: `${name}: ${signal ?? `exit code ${code}`}${lastFatal(logs, name)}`,
          }),
      });
    const port = await freePort();
    const wayToApi = await startFaultProxy(port);
    undo.push(() => wayToApi.stop());
    const ways: Partial<Record<WayName, FaultProxy>> = { api: wayToApi };
    for (const name of ['postgres', 'redis', 's3'] as const) {
      const part = surroundings.parts[name];
      if (part !== undefined) ways[name] = part.proxy;
    }
    const key = `chaos-${randomBytes(16).toString('hex')}`;
    const secrets = { ROWSMITH_API_KEY: key, ROWSMITH_PEPPER: randomBytes(32).toString('hex') };
    const apiOn = (name: string, at: number) =>
      kept(name, 'api', { ...secrets, ROWSMITH_PORT: String(at), ROWSMITH_STALE_SECONDS: String(staleSeconds) });
    const api = apiOn('api', port);
    const moreApis: { readonly url: string; readonly process: KeptProcess }[] = [];
    for (let i = 1; i < (options.apis ?? 1); i++) {
      const own = await freePort();
      moreApis.push({ url: `http://127.0.0.1:${own}`, process: apiOn(`api-${i}`, own) });
    }
    const apis = [api, ...moreApis.map(({ process: more }) => more)];
    const workers: KeptWorker[] = [];
    for (let i = 0; i < options.workers; i++) {
      const id = newId('worker', randomBytes);
      const clockFile = options.fakeTime === null ? null : join(folder, `clock-${i}`);
      if (clockFile !== null) await writeFile(clockFile, '+0');
      const clock =
        clockFile === null
          ? {}
          : {
              ...{ LD_PRELOAD: options.fakeTime ?? '', FAKETIME_TIMESTAMP_FILE: clockFile },
              ...{ FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' },
            };
      const env = { ROWSMITH_WORKER_ID: id, ROWSMITH_THREADS: '1', ROWSMITH_HEARTBEAT_SECONDS: '0.5', ...clock };
      workers.push({ id, clockFile, process: kept(`worker-${i}`, 'worker', env) });
    }
    for (const service of [...apis, ...workers.map((worker) => worker.process)]) service.start();
    const ledger = new Ledger(surroundings.databaseUrl);
    const trainerOf = async (worker: KeptWorker) => {
      const text = await readFile(`/proc/${worker.process.pid}/task/${worker.process.pid}/children`, 'utf8').catch(() => '');
      return Number(text.trim().split(' ')[0]) || null;
    };
    return {
      ...{ url: `http://127.0.0.1:${wayToApi.port}`, key, dataDir, api, moreApis, workers, surroundings, ways, ledger, objects, trainerOf },
      async adapterFiles(manifestKey) {
        const bytes = await objects.getBytes(manifestKey);
        if (!bytes) return {};
        const { files } = JSON.parse(Buffer.from(bytes).toString('utf8')) as AdapterManifest;
        const hashes: Record<string, string> = {};
        for (const file of files)
          if (file.name !== 'rowsmith.json')
            hashes[file.name] = createHash('sha256')
              .update((await objects.getBytes(file.key)) ?? '')
              .digest('hex');
        return hashes;
      },
      async stop() {
        const found: Violation[] = [];
        for (const { process: worker } of workers) {
          const code = await worker.stop(60_000);
          if (code !== 0) found.push({ rule: 'SIGTERM ends a worker with exit code 0', found: `${worker.options.name}: ${code}` });
        }
        const left = await processesIn(dataDir);
        if (left.length > 0) found.push({ rule: 'no orphan trainer', found: left.join(', ') });
        for (const one of apis) {
          const code = await one.stop(20_000);
          if (code !== 0) found.push({ rule: 'SIGTERM ends the API with exit code 0', found: `${one.options.name}: ${code}` });
        }
        const scratch = await readdir(join(dataDir, 'scratch')).catch(() => []);
        if (scratch.length > 0) found.push({ rule: 'scratch space is empty in the end', found: scratch.join(' ') });
        // A connection of a process that has just ended is seen for a moment longer.
        let connections = await ledger.connections();
        for (const deadline = performance.now() + 10_000; connections > 0 && performance.now() < deadline; ) {
          await new Promise((next) => setTimeout(next, 100));
          connections = await ledger.connections();
        }
        if (connections > 0) found.push({ rule: 'no connection stays open', found: `${connections} in Postgres` });
        await ledger.close();
        await close();
        return found;
      },
    };
  } catch (error) {
    await close();
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** Processes whose working folder is in `folder`: trainers work in their scratch space. */
async function processesIn(folder: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of await readdir('/proc').catch(() => [])) {
    if (!/^\d+$/.test(pid)) continue;
    const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => '');
    if (cwd.startsWith(folder)) found.push(`${pid} in ${cwd}`);
  }
  return found;
}

/** Why a process that ended by itself did so, in its own words. */
function lastFatal(logs: string, name: string): string {
  try {
    const line = readFileSync(join(logs, `${name}.log`), 'utf8')
      .split('\n')
      .findLast((text) => text.includes('"level":60') || text.includes('"fatal"'));
    return line ? `: ${line.slice(0, 600)}` : '';
  } catch {
    return '';
  }
}
