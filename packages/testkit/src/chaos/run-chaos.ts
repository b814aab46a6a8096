/** A run: the undisturbed job, then faults one after another while jobs run, then the verdict on every job and on the installation. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PatientClient } from './client.js';
import { inject } from './inject.js';
import { canMount, type Installation, type KeptWorker, openInstallation } from './installation.js';
import type { HeldJob } from './ledger.js';
import { type ChaosSurroundings, type Fault, type FaultKind, planFault } from './plan.js';
import { type Expected, judgeJob, type Violation } from './verdict.js';

export interface ChaosOptions {
  readonly queue: ChaosSurroundings['queue'];
  readonly storage: ChaosSurroundings['storage'];
  readonly faults: number;
  readonly seed: number;
  readonly workers?: number;
  /** Jobs that are open at any time; more than workers, so that none is idle. */
  readonly openJobs?: number;
  readonly steps?: number;
  readonly fakeTime?: string | null;
  /** Only these kinds, for a closer look; the draws of the others pass without effect. */
  readonly only?: readonly FaultKind[];
  /** Without progress for so long is a violation. */
  readonly patienceMs?: number;
  /** Data, logs and objects stay for somebody to look at when a rule was broken. */
  readonly keep?: boolean;
  /** One object a line: faults as they are made, at last the verdict. */
  readonly log: (line: Readonly<Record<string, unknown>>) => void;
}
export interface ChaosReport {
  readonly faults: number;
  readonly byKind: Readonly<Partial<Record<FaultKind, number>>>;
  readonly jobs: number;
  /** Of all jobs together. */
  readonly attempts: number;
  readonly seconds: number;
  readonly faultsPerMinute: number;
  /**
   * From kill -9 of a worker or trainer to the start of the job's next attempt, milliseconds. With more open jobs than workers it holds the waiting for
   * a place as well.
   */
  readonly recovery: { readonly kills: number; readonly medianMs: number; readonly longestMs: number };
  /** In the order of time. */
  readonly violations: readonly Violation[];
  /** Where everything lies, if it was kept. */
  readonly folder: string | null;
}

const lines = Array.from({ length: 24 }, (_, i) =>
  JSON.stringify({
    messages: [
      { role: 'user', content: `say ${i}` },
      { role: 'assistant', content: `${i}, ${i}` },
    ],
  }),
);
const settled = ['succeeded', 'failed', 'cancelled'];
/** Hits a worker or its trainer: made only where the job has just gone on, so that three without progress are never the harness's doing. */
const needsVictim = (kind: FaultKind) => /worker|trainer|checkpoint/.test(kind);
const wait = (ms: number) => new Promise<void>((over) => setTimeout(over, ms));

export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const folder = await mkdtemp(join(tmpdir(), 'rowsmith-chaos-'));
  const surroundings: ChaosSurroundings = {
    ...{ queue: options.queue, storage: options.storage, smallDisk: canMount(folder), fakeTime: options.fakeTime ?? null },
  };
  if (!surroundings.smallDisk) options.log({ note: 'a small disk cannot be mounted here (that takes root): no disk is filled' });
  if (surroundings.fakeTime === null) options.log({ note: 'no libfaketime: no clock jumps' });
  return new Chaos(options, surroundings, folder).run();
}

class Chaos {
  readonly #violations: Violation[] = [];
  readonly #byKind: Partial<Record<FaultKind, number>> = {};
  readonly #healing = new Set<Promise<void>>();
  /** Parts and workers that a fault still holds. */
  readonly #held = new Set<string>();
  /** In the order of posting, each with what a client heard of it. */
  readonly #jobs = new Map<string, Promise<readonly number[]>>();
  readonly #listening = new AbortController();
  readonly #began = performance.now();
  readonly #kills: { readonly job: string; readonly epoch: number; readonly at: number }[] = [];
  readonly #recoveries: number[] = [];
  #index = -1;
  #made = 0;
  #clockFaults = 0;
  #installation!: Installation;
  #client!: PatientClient;
  #body: Record<string, unknown> = {};

  constructor(
    private readonly options: ChaosOptions,
    private readonly surroundings: ChaosSurroundings,
    private readonly folder: string,
  ) {}

  get #steps(): number {
    return this.options.steps ?? 30;
  }
  get #patienceMs(): number {
    return this.options.patienceMs ?? 180_000;
  }

  #violated = (violation: Violation): void => {
    // A worker whose clock was moved ends by itself, as it should.
    if (this.#clockFaults > 0 && violation.rule === 'no process ends by itself' && violation.found.startsWith('worker')) return;
    this.#violations.push(violation);
    this.options.log({ violation, seed: this.options.seed, afterFault: this.#index });
  };

  async run(): Promise<ChaosReport> {
    this.#installation = await openInstallation(this.folder, {
      ...this.surroundings,
      ...{ workers: this.options.workers ?? 2, onDeath: this.#violated },
    });
    this.#client = new PatientClient(this.#installation.url, this.#installation.key, this.#violated);
    let attempts = 0;
    let faultSeconds = 0;
    let endWatch = async () => {};
    try {
      const expected = await this.#undisturbed();
      const began = performance.now();
      endWatch = this.#watch();
      await this.#faults();
      faultSeconds = (performance.now() - began) / 1_000;
      await this.#untilSettled();
      await endWatch();
      setTimeout(() => this.#listening.abort(), this.#patienceMs).unref();
      for (const [id, heard] of this.#jobs) attempts += await this.#judge(id, await heard, expected);
      const stored = (await this.#installation.ledger.jobs()).length;
      // The undisturbed one is there too.
      if (stored !== this.#jobs.size + 1)
        this.#violated({ rule: 'a repeated POST makes no second job', found: `${stored} jobs for ${this.#jobs.size + 1} keys` });
    } catch (error) {
      this.#violated({ rule: 'the run comes to its end', found: error instanceof Error ? error.message : String(error) });
    } finally {
      this.#listening.abort();
      await endWatch();
      await Promise.allSettled([...this.#healing, ...this.#jobs.values()]);
      for (const violation of await this.#installation.stop()) this.#violated(violation);
    }
    const keep = this.options.keep === true && this.#violations.length > 0;
    if (!keep) await rm(this.folder, { recursive: true, force: true });
    return {
      ...{ faults: this.#made, byKind: this.#byKind, jobs: this.#jobs.size, attempts },
      seconds: Math.round((performance.now() - this.#began) / 1_000),
      faultsPerMinute: Math.round((this.#made / Math.max(1, faultSeconds)) * 600) / 10,
      recovery: {
        kills: this.#recoveries.length,
        medianMs: this.#recoveries.sort((a, b) => a - b)[Math.floor(this.#recoveries.length / 2)] ?? 0,
        longestMs: this.#recoveries.at(-1) ?? 0,
      },
      ...{ violations: this.#violations, folder: keep ? this.folder : null },
    };
  }

  /** Uploads the data, runs the job once in peace. */
  async #undisturbed(): Promise<Expected> {
    const form = new FormData();
    form.set('purpose', 'fine-tune');
    form.set('file', new Blob([`${lines.join('\n')}\n`]), 'data.jsonl');
    const file = await this.#client.ask<{ id: string }>('/v1/files', { method: 'POST', body: form });
    this.#body = {
      ...{ model: 'tiny', training_file: file.id, validation_file: file.id, seed: 5 },
      hyperparameters: { n_epochs: 1, batch_size: 2, learning_rate_multiplier: 1 },
      row_sparse: {
        ...{ rows: 3, scorer: 'l2', targets: ['q_proj', 'v_proj', 'down_proj'], layers: [0, 1], learning_rate: 0.01 },
        ...{ max_seq_length: 64, gradient_accumulation_steps: 6, max_steps: this.#steps, eval_every_steps: 10 },
        ...{ checkpoint_every_seconds: 0, keep_checkpoints: 3 },
      },
    };
    const id = await this.#post('undisturbed');
    await this.#until(id, this.#patienceMs);
    const { status, errorMessage, adapterManifestKey } = await this.#installation.ledger.rows(id);
    if (status !== 'succeeded') throw new Error(`the undisturbed job ended ${status}: ${errorMessage}`);
    const files = await this.#installation.adapterFiles(adapterManifestKey ?? '');
    this.options.log({ undisturbed: id, seconds: Math.round((performance.now() - this.#began) / 1_000), files });
    return { steps: this.#steps, files };
  }

  async #post(name: string): Promise<string> {
    const { id } = await this.#client.ask<{ id: string }>('/jobs', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': `chaos-${this.options.seed}-${name}` },
      body: JSON.stringify(this.#body),
    });
    return id;
  }

  async #until(id: string, patienceMs: number): Promise<void> {
    for (const deadline = performance.now() + patienceMs; performance.now() < deadline; await wait(200))
      if ((await this.#installation.ledger.jobs()).some((job) => job.id === id && settled.includes(job.status))) return;
    throw new Error(`${id} is not over after ${patienceMs / 1_000} s`);
  }

  /** Beside the faults: a client that looks at the list, and new jobs for those that are over. Returns what ends it. */
  #watch(): () => Promise<void> {
    let over = false;
    const looking = (async () => {
      for (; !over; await wait(300)) await this.#client.once('/v1/fine_tuning/jobs?limit=5');
    })();
    return async () => {
      over = true;
      await looking;
    };
  }

  async #fillUp(): Promise<void> {
    const openJobs = this.options.openJobs ?? (this.options.workers ?? 2) + 1;
    const jobs = await this.#installation.ledger.jobs();
    const failed = jobs.find(({ status }) => status === 'failed' || status === 'cancelled');
    if (failed) this.#violated({ rule: 'ends succeeded', found: `${failed.status}: ${failed.errorCode}`, job: failed.id });
    const missing = openJobs - jobs.filter(({ status }) => !settled.includes(status)).length;
    for (let i = 0; i < missing; i++) {
      const id = await this.#post(String(this.#jobs.size));
      this.#jobs.set(id, this.#client.follow(id, this.#listening.signal));
    }
  }

  async #faults(): Promise<void> {
    while (this.#made < this.options.faults && this.#violations.length === 0) {
      const fault = planFault(this.options.seed, ++this.#index, this.surroundings);
      if (this.options.only && !this.options.only.includes(fault.kind)) continue;
      await this.#fillUp();
      const victim = needsVictim(fault.kind) ? await this.#victim(fault) : null;
      const what = victim?.worker.id ?? fault.kind.split('.')[1] ?? '';
      // What is away already cannot be broken; a wiped queue needs its server.
      if (this.#held.has(what) || fault.kind === 'wipe.queue') await Promise.all(this.#healing);
      await this.#make(fault, victim, what);
      await wait(fault.gapMs);
    }
    await Promise.all(this.#healing);
  }

  async #make(fault: Fault, victim: { worker: KeptWorker; job: HeldJob } | null, what: string): Promise<void> {
    const injected = await inject(fault, this.#installation, victim);
    const { seed, index, kind, holdMs, overlap, deep } = fault;
    const at = Math.round(performance.now() - this.#began);
    if (injected === null) {
      this.options.log({ seed, index, kind, missed: true, at });
      return;
    }
    this.#made += 1;
    this.#byKind[kind] = (this.#byKind[kind] ?? 0) + 1;
    this.options.log({ seed, index, kind, holdMs, overlap, deep, at, ...injected.what });
    if (victim && /^kill/.test(kind)) this.#kills.push({ job: victim.job.id, epoch: victim.job.epoch, at: Date.now() });
    this.#held.add(what);
    const clock = kind === 'clock.worker';
    if (clock) this.#clockFaults += 1;
    const healed = injected.healed
      // A worker that sees the jump late still ends for it.
      .then(() => (clock ? wait(8_000) : undefined))
      .catch((error: unknown) => this.#violated({ rule: 'what was broken can be mended', found: `${kind}: ${String(error)}` }))
      .finally(() => {
        this.#held.delete(what);
        this.#healing.delete(healed);
        if (clock) this.#clockFaults -= 1;
      });
    this.#healing.add(healed);
    if (!overlap) await healed;
  }

  /** A worker whose job has gone on since the last trouble; waits for one. */
  async #victim(fault: Fault): Promise<{ worker: KeptWorker; job: HeldJob }> {
    const { workers, ledger } = this.#installation;
    const fits = (job: HeldJob) =>
      job.status === 'running' && job.barren === 0 && (!fault.deep || job.saved) && (fault.kind !== 'flip.checkpoint' || job.step >= 0);
    for (const deadline = performance.now() + this.#patienceMs; performance.now() < deadline; await wait(100)) {
      const jobs = await ledger.jobs();
      const order = workers.map((_, i) => workers[(i + fault.target) % workers.length] as KeptWorker);
      for (const worker of order) {
        const job = jobs.find((held) => held.workerId === worker.id && fits(held));
        // The tables still say so of a worker that was killed and has not come back: only a trainer at work is worth a blow.
        if (job && !this.#held.has(worker.id) && (await this.#installation.trainerOf(worker)) !== null) return { worker, job };
      }
      if (jobs.some(({ status }) => status === 'failed')) break;
      await this.#fillUp();
    }
    throw new Error(`no job goes on: ${JSON.stringify(await ledger.jobs().then((all) => all.filter((j) => !settled.includes(j.status))))}`);
  }

  async #untilSettled(): Promise<void> {
    let seen = '';
    for (let since = performance.now(); ; await wait(200)) {
      const open = (await this.#installation.ledger.jobs()).filter(({ status }) => !settled.includes(status));
      if (open.length === 0) return;
      const state = JSON.stringify(open);
      if (state !== seen) since = performance.now();
      seen = state;
      if (performance.now() - since > this.#patienceMs) throw new Error(`jobs stand still: ${state}`);
    }
  }

  /** Returns how many attempts it took. */
  async #judge(id: string, heard: readonly number[], expected: Expected): Promise<number> {
    const { ledger, adapterFiles } = this.#installation;
    const rows = await ledger.rows(id);
    const files = rows.adapterManifestKey === null ? {} : await adapterFiles(rows.adapterManifestKey);
    for (const violation of judgeJob(id, rows, files, heard, expected)) this.#violated(violation);
    for (const { epoch, at } of this.#kills.filter(({ job }) => job === id)) {
      const next = rows.attempts.find((attempt) => attempt.epoch > epoch);
      // None: the blow fell when the attempt had just ended.
      if (next !== undefined) this.#recoveries.push(Math.max(0, Math.round(next.startedAt - at)));
    }
    return rows.attempts.length;
  }
}
