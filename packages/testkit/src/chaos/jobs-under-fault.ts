/** The jobs of a run: one in peace, then as many open ones as asked for, each with a client that listens, and the verdict on every one. */
import type { PatientClient } from './client.js';
import type { Installation } from './installation.js';
import type { HeldJob } from './ledger.js';
import { tinyData, tinyJob } from './tiny-job.js';
import { type Expected, judgeJob, type Violation } from './verdict.js';

export interface JobsOptions {
  readonly seed: number;
  readonly steps: number;
  /** Open at any time. */
  readonly openJobs: number;
  /** Without progress for so long is a violation. */
  readonly patienceMs: number;
  readonly onViolation: (violation: Violation) => void;
}

const settled = ['succeeded', 'failed', 'cancelled'];
const wait = (ms: number) => new Promise<void>((over) => setTimeout(over, ms));

export class JobsUnderFault {
  /** In the order of posting, each with what a client heard of it. */
  readonly #jobs = new Map<string, Promise<readonly number[]>>();
  readonly #listening = new AbortController();
  readonly #kills: { readonly job: string; readonly epoch: number; readonly at: number }[] = [];
  readonly #recoveries: number[] = [];
  #body: Record<string, unknown> = {};
  #expected: Expected = { steps: 0, files: {} };
  #attempts = 0;

  constructor(
    private readonly installation: Installation,
    private readonly client: PatientClient,
    private readonly options: JobsOptions,
  ) {}

  get count(): number {
    return this.#jobs.size;
  }
  /** Of all judged jobs together. */
  get attempts(): number {
    return this.#attempts;
  }
  /** From a kill to the start of the job's next attempt, milliseconds, sorted. */
  get recoveries(): readonly number[] {
    return this.#recoveries.sort((a, b) => a - b);
  }

  /** Uploads the data, runs the job once in peace. Returns its id and the hashes of its files. */
  async undisturbed(): Promise<{ readonly id: string; readonly files: Expected['files'] }> {
    const { steps } = this.options;
    const file = await this.client.ask<{ id: string }>('/v1/files', { method: 'POST', body: tinyData() });
    this.#body = tinyJob(file.id, steps);
    const id = await this.post('undisturbed');
    await this.#until(id);
    const { status, errorMessage, adapterManifestKey } = await this.installation.ledger.rows(id);
    if (status !== 'succeeded') throw new Error(`the undisturbed job ended ${status}: ${errorMessage}`);
    const files = await this.installation.adapterFiles(adapterManifestKey ?? '');
    this.#expected = { steps, files };
    return { id, files };
  }

  /** Beside the faults: a client that looks at the list, and new jobs for those that are over. Returns what ends it. */
  keepOpen(): () => Promise<void> {
    let over = false;
    const look = async () => {
      for (; !over; await wait(300)) await this.client.once('/v1/fine_tuning/jobs?limit=5');
    };
    const fill = async () => {
      for (; !over; await wait(200)) await this.#fillUp();
    };
    const running = Promise.all([look(), fill()]);
    // Whoever ends it hears of it; until then a failure is nobody's.
    running.catch(() => undefined);
    return async () => {
      over = true;
      await running;
    };
  }

  noteKill(job: HeldJob): void {
    this.#kills.push({ job: job.id, epoch: job.epoch, at: Date.now() });
  }

  /** Throws when none of the open ones changes for too long. */
  async untilSettled(): Promise<void> {
    let seen = '';
    for (let since = performance.now(); ; await wait(200)) {
      const open = (await this.installation.ledger.jobs()).filter(({ status }) => !settled.includes(status));
      if (open.length === 0) return;
      const state = JSON.stringify(open);
      if (state !== seen) since = performance.now();
      seen = state;
      if (performance.now() - since > this.options.patienceMs) throw new Error(`jobs stand still: ${state}`);
    }
  }

  async judge(): Promise<void> {
    setTimeout(() => this.#listening.abort(), this.options.patienceMs).unref();
    for (const [id, heard] of this.#jobs) await this.#judgeOne(id, await heard);
    const stored = (await this.installation.ledger.jobs()).length;
    // The undisturbed one is there too.
    if (stored !== this.#jobs.size + 1)
      this.options.onViolation({ rule: 'a repeated POST makes no second job', found: `${stored} jobs for ${this.#jobs.size + 1} keys` });
  }

  async stopListening(): Promise<void> {
    this.#listening.abort();
    await Promise.allSettled(this.#jobs.values());
  }

  /** The job under another name; `steps`: more of them than usual. */
  async post(name: string, steps?: number): Promise<string> {
    const { id } = await this.client.ask<{ id: string }>('/jobs', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': `chaos-${this.options.seed}-${name}` },
      body: JSON.stringify(steps === undefined ? this.#body : tinyJob(String(this.#body['training_file']), steps)),
    });
    return id;
  }

  async #until(id: string): Promise<void> {
    const { patienceMs } = this.options;
    for (const deadline = performance.now() + patienceMs; performance.now() < deadline; await wait(200))
      if ((await this.installation.ledger.jobs()).some((job) => job.id === id && settled.includes(job.status))) return;
    throw new Error(`${id} is not over after ${patienceMs / 1_000} s`);
  }

  async #fillUp(): Promise<void> {
    const jobs = await this.installation.ledger.jobs();
    const failed = jobs.find(({ status }) => status === 'failed' || status === 'cancelled');
    if (failed) return this.options.onViolation({ rule: 'ends succeeded', found: `${failed.status}: ${failed.errorCode}`, job: failed.id });
    const missing = this.options.openJobs - jobs.filter(({ status }) => !settled.includes(status)).length;
    for (let i = 0; i < missing; i++) {
      const id = await this.post(String(this.#jobs.size));
      this.#jobs.set(id, this.client.follow(id, this.#listening.signal));
    }
  }

  async #judgeOne(id: string, heard: readonly number[]): Promise<void> {
    const { ledger, adapterFiles } = this.installation;
    const rows = await ledger.rows(id);
    const files = rows.adapterManifestKey === null ? {} : await adapterFiles(rows.adapterManifestKey);
    for (const violation of judgeJob(id, rows, files, heard, this.#expected)) this.options.onViolation(violation);
    for (const { epoch, at } of this.#kills.filter(({ job }) => job === id)) {
      const next = rows.attempts.find((attempt) => attempt.epoch > epoch);
      // None: the blow fell when the attempt had just ended.
      if (next !== undefined) this.#recoveries.push(Math.max(0, Math.round(next.startedAt - at)));
    }
    this.#attempts += rows.attempts.length;
  }
}
