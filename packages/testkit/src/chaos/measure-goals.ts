/** How long the service takes to be itself again: figures, not verdicts. One installation, one kind of trouble at a time. */
import { mkdtemp, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { PatientClient } from './client.js';
import { type Installation, type KeptWorker, openInstallation } from './installation.js';
import { JobsUnderFault } from './jobs-under-fault.js';
import type { HeldJob } from './ledger.js';
import type { ChaosSurroundings } from './plan.js';
import { makePoor } from './poor-store.js';
import type { Violation } from './verdict.js';

export interface GoalsOptions {
  readonly queue: ChaosSurroundings['queue'];
  readonly storage: ChaosSurroundings['storage'];
  /** Of each kind of trouble. */
  readonly times: number;
  /** Numbers of the goals; all when left out. */
  readonly only?: readonly number[];
  readonly log: (line: Readonly<Record<string, unknown>>) => void;
}

const isOver = (status: string | undefined) => status === undefined || ['succeeded', 'failed', 'cancelled'].includes(status);
const wait = (ms: number) => new Promise<void>((over) => setTimeout(over, ms));
/** Long enough to be hit in its middle. */
const longSteps = 2_000;

export async function measureGoals({ queue, storage, times, only, log }: GoalsOptions): Promise<readonly Violation[]> {
  const folder = await mkdtemp(join(tmpdir(), 'rowsmith-goals-'));
  const violations: Violation[] = [];
  const onViolation = (violation: Violation): void => {
    violations.push(violation);
    log({ violation });
  };
  const surroundings: ChaosSurroundings = { queue, storage, smallDisk: false, fakeTime: null };
  const installation = await openInstallation(folder, { ...surroundings, workers: 2, onDeath: onViolation });
  const client = new PatientClient(installation.url, installation.key, onViolation, 600_000);
  const jobs = new JobsUnderFault(installation, client, { seed: 0, steps: 8, openJobs: 2, patienceMs: 600_000, onViolation });
  try {
    const { files } = await jobs.undisturbed();
    const measures = new Measures(installation, client, jobs, times);
    const all: readonly [number: number, goal: string, measure: () => Promise<Record<string, number[]>>][] = [
      [2, 'kill -9 of worker or trainer, to the next attempt', () => measures.kills()],
      [3, 'SIGTERM of a worker, to its end', () => measures.handbacks()],
      [4, 'cancel, to the answer', () => measures.cancels()],
      [5, 'Postgres killed and back, to the first answer of the API', () => measures.database()],
      [
        10,
        'a store of 5 s latency, 1 MB/s, 30 % of 503 and lost answers, to the same bytes in one attempt',
        () => measures.poorStore(files, log),
      ],
      [7, 'everything started 30 s before Postgres, to the first answer', () => measures.lateDatabase()],
    ];
    for (const [number, goal, measure] of all) {
      if (only !== undefined && !only.includes(number)) continue;
      for (const [what, ms] of Object.entries(await measure()))
        log({ number, goal, what, times: ms.length, ...summary(ms), load: loadavg()[0] });
    }
  } catch (error) {
    onViolation({ rule: 'the measuring comes to its end', found: error instanceof Error ? error.message : String(error) });
  } finally {
    for (const violation of await installation.stop()) onViolation(violation);
    await rm(folder, { recursive: true, force: true });
  }
  return violations;
}

function summary(ms: readonly number[]): { medianMs: number; longestMs: number } {
  const sorted = ms.map((value) => Math.round(value)).sort((a, b) => a - b);
  return { medianMs: sorted[Math.floor(sorted.length / 2)] ?? Number.NaN, longestMs: sorted.at(-1) ?? Number.NaN };
}

class Measures {
  #posted = 0;
  #open: string[] = [];

  constructor(
    private readonly installation: Installation,
    private readonly client: PatientClient,
    private readonly jobs: JobsUnderFault,
    private readonly times: number,
  ) {}

  async kills(): Promise<Record<string, number[]>> {
    const found: Record<string, number[]> = { worker: [], trainer: [] };
    for (let i = 0; i < this.times; i++) {
      for (const what of ['worker', 'trainer']) {
        const { worker, job } = await this.#atWork();
        const at = Date.now();
        if (what === 'worker') worker.process.hit('SIGKILL');
        else process.kill((await this.installation.trainerOf(worker)) ?? 0, 'SIGKILL');
        found[what]?.push((await this.#nextAttempt(job)).startedAt - at);
      }
    }
    return found;
  }

  async handbacks(): Promise<Record<string, number[]>> {
    const found = { 'the worker ended': [] as number[], 'the next attempt began': [] as number[] };
    for (let i = 0; i < this.times; i++) {
      const { worker, job } = await this.#atWork();
      const [at, pid] = [Date.now(), worker.process.pid];
      worker.process.hit('SIGTERM');
      while (worker.process.pid === pid) await wait(10);
      found['the worker ended'].push(Date.now() - at);
      found['the next attempt began'].push((await this.#nextAttempt(job)).startedAt - at);
      const outcome = (await this.installation.ledger.rows(job.id)).attempts.find(({ epoch }) => epoch === job.epoch)?.outcome;
      if (outcome !== 'handback') throw new Error(`the attempt was not handed back: ${outcome}`);
    }
    return found;
  }

  async cancels(): Promise<Record<string, number[]>> {
    const found: Record<string, number[]> = { answered: [], 'stopped, a trainer that listens': [], 'ended, a trainer that does not': [] };
    for (const deaf of [false, true])
      for (let i = 0; i < (deaf ? 2 : this.times); i++) {
        const { worker, job } = await this.#atWork();
        const trainer = (await this.installation.trainerOf(worker)) ?? 0;
        if (deaf) process.kill(trainer, 'SIGSTOP');
        const at = Date.now();
        await this.client.ask(`/jobs/${job.id}/cancel`, { method: 'POST' });
        found['answered']?.push(Date.now() - at);
        while ((await this.installation.ledger.jobs()).find(({ id }) => id === job.id)?.status !== 'cancelled') await wait(20);
        found[deaf ? 'ended, a trainer that does not' : 'stopped, a trainer that listens']?.push(Date.now() - at);
      }
    return found;
  }

  async database(): Promise<Record<string, number[]>> {
    const found: number[] = [];
    for (let i = 0; i < this.times; i++) {
      await this.#atWork();
      await this.installation.surroundings.parts.postgres?.bounce(1_000);
      found.push(await this.#untilAnswered());
    }
    return { 'after the server was up': found };
  }

  /** Needs S3. Throws when there is a second attempt (a lock was lost), or a byte differs. */
  async poorStore(files: Readonly<Record<string, string>>, log: GoalsOptions['log']): Promise<Record<string, number[]>> {
    const { ledger, surroundings, adapterFiles } = this.installation;
    const { parts, refusing } = surroundings;
    if (parts.s3 === undefined || refusing === null) return {};
    await this.#untilIdle();
    const store = makePoor(parts.s3.proxy, refusing, { latencyMs: 2_500, bytesPerSecond: 1e6 });
    try {
      const at = Date.now();
      const id = await this.jobs.post('poor-store');
      while (!isOver((await ledger.jobs()).find((job) => job.id === id)?.status)) await wait(100);
      const took = Date.now() - at;
      const { status, attempts, adapterManifestKey } = await ledger.rows(id);
      const [refused, lost] = [store.refused, store.lost];
      store.heal();
      const found = adapterManifestKey === null ? {} : await adapterFiles(adapterManifestKey);
      log({ number: 10, status, attempts: attempts.length, requestsRefused: refused, answersLost: lost });
      if (status !== 'succeeded' || attempts.length !== 1 || !isDeepStrictEqual(found, files))
        throw new Error(`with a poor store the job ended ${status} after ${attempts.length} attempts with ${JSON.stringify(found)}`);
      return { 'from creation to success': [took] };
    } finally {
      store.heal();
    }
  }

  async lateDatabase(): Promise<Record<string, number[]>> {
    const { api, workers, surroundings } = this.installation;
    const back = surroundings.parts.postgres?.bounce(30_000);
    for (const service of [api, ...workers.map((worker) => worker.process)]) service.hit('SIGKILL');
    await back;
    const answered = await this.#untilAnswered();
    await this.#atWork();
    return { 'after the server was up': [answered] };
  }

  async #untilIdle(): Promise<void> {
    for (const id of this.#open.splice(0)) {
      if (!isOver((await this.installation.ledger.jobs()).find((job) => job.id === id)?.status))
        await this.client.once(`/jobs/${id}/cancel`, { method: 'POST' });
      while (!isOver((await this.installation.ledger.jobs()).find((job) => job.id === id)?.status)) await wait(50);
    }
  }

  async #untilAnswered(): Promise<number> {
    const at = Date.now();
    while ((await this.client.once('/jobs?limit=1'))?.status !== 200) await wait(20);
    return Date.now() - at;
  }

  async #nextAttempt({ id, epoch }: HeldJob) {
    for (;;) {
      const next = (await this.installation.ledger.rows(id)).attempts.find((attempt) => attempt.epoch > epoch);
      if (next !== undefined) return next;
      await wait(20);
    }
  }

  /** A worker whose job has just saved something; with as many open jobs as workers nobody waits for a place. */
  async #atWork(): Promise<{ worker: KeptWorker; job: HeldJob }> {
    const { workers, ledger } = this.installation;
    for (;;) {
      const held = await ledger.jobs();
      this.#open = this.#open.filter((id) =>
        held.some((job) => job.id === id && !['succeeded', 'failed', 'cancelled'].includes(job.status)),
      );
      for (; this.#open.length < workers.length; this.#posted += 1)
        this.#open.push(await this.jobs.post(`long-${this.#posted}`, longSteps));
      for (const worker of workers) {
        const job = held.find(
          ({ status, workerId, saved, fruitless }) => status === 'running' && workerId === worker.id && saved && fruitless === 0,
        );
        if (job !== undefined && (await this.installation.trainerOf(worker)) !== null) return { worker, job };
      }
      await wait(50);
    }
  }
}
