/** `rowsmith up` as a user starts it (embedded Postgres, queue, store, API, worker) in a folder of its own. */
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

export const projectRoot = resolve(import.meta.dirname, '../..');

export async function startService(env = {}) {
  const dataDir = await mkdtemp(join(tmpdir(), 'rowsmith-load-'));
  const program = join(projectRoot, 'apps/cli/bin/rowsmith.js');
  const child = spawn(process.execPath, [program, 'up', '--port', '0', '--data', dataDir, '--json'], {
    env: { ...process.env, ROWSMITH_API_KEY: '', ROWSMITH_LOG_LEVEL: 'warn', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    output = `${output}${text}`.slice(-8192);
  });
  const ended = new Promise((done) => child.once('close', done));
  const clean = () => rm(dataDir, { recursive: true, force: true });
  const { url, pids } = await new Promise((done, failed) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      output = `${output}${line}\n`.slice(-8192);
      const state = JSON.parse(line);
      if (state.state === 'ready') done(state);
    });
    void ended.then(async (code) => {
      await clean();
      failed(new Error(`rowsmith up ended with ${code}:\n${output}`));
    });
  });
  const key = (await readFile(join(dataDir, 'api-key'), 'utf8')).trim();
  return {
    url,
    key,
    pids,
    dataDir,
    async json(path, init = {}) {
      const headers = { authorization: `Bearer ${key}`, ...init.headers };
      const answer = await fetch(`${url}${path}`, { signal: AbortSignal.timeout(60_000), ...init, headers });
      const body = await answer.json();
      if (!answer.ok) throw new Error(`${init.method ?? 'GET'} ${path}: ${answer.status} ${JSON.stringify(body)}`);
      return body;
    },
    async text(path) {
      return (await fetch(`${url}${path}`, { signal: AbortSignal.timeout(60_000), headers: { authorization: `Bearer ${key}` } })).text();
    },
    post(path, body) {
      return this.json(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
    },
    async stop() {
      child.kill('SIGINT');
      const gone = await Promise.race([ended.then(() => true), new Promise((late) => setTimeout(late, 30_000, false).unref())]);
      // Only what this started: its own process and those that it named.
      if (!gone) for (const pid of [...Object.values(pids), child.pid]) killed(pid);
      await ended;
      await clean();
    },
  };
}

function killed(pid) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It is gone.
  }
}

/** Resident memory of a process in MiB (Linux). */
export async function residentMiB(pid) {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) / 1024;
}

/** Memory of a process over time, once a second. */
export function watchMemory(pid) {
  const began = performance.now();
  const seen = [];
  const timer = setInterval(() => {
    residentMiB(pid).then(
      (mib) => seen.push({ seconds: (performance.now() - began) / 1000, mib }),
      () => undefined,
    );
  }, 1_000);
  return () => {
    clearInterval(timer);
    return seen;
  };
}

/** Fields of /proc/<pid>/stat after the command's name; null: gone. */
async function statOf(pid) {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
  return text === null ? null : text.slice(text.lastIndexOf(')') + 2).split(' ');
}

/** Processor time so far of the API (of it in the kernel: apiSystem), of Postgres with all its backends and of the driver, in milliseconds: unlike times of answers it does not depend on who else is busy. */
export async function processorMs({ pids, dataDir }) {
  const ticks = async (pid) => {
    const stat = await statOf(pid);
    if (stat === null) return 0;
    // Of Postgres also that of backends that have ended meanwhile; of the API there are no children.
    const [user, system, endedUser, endedSystem] = stat.slice(11, 15).map(Number);
    return 10 * (user + system + endedUser + endedSystem);
  };
  const postmaster = (await readFile(join(dataDir, 'postgres/postmaster.pid'), 'utf8')).split('\n')[0];
  let postgres = await ticks(postmaster);
  let backends = 0;
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name)))
    if ((await statOf(pid))?.[1] === postmaster) {
      postgres += await ticks(pid);
      backends += 1;
    }
  const { user, system } = process.cpuUsage();
  return {
    api: await ticks(pids.api),
    apiSystem: 10 * Number((await statOf(pids.api))?.[12] ?? 0),
    postgres,
    backends,
    driver: (user + system) / 1_000,
  };
}
