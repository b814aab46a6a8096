/** Makes the faults of all lanes at once: each lane one after another, with its own pauses, until the run has its number of faults. */
import { inject } from './inject.js';
import type { Installation, KeptWorker } from './installation.js';
import type { HeldJob } from './ledger.js';
import { type Fault, type FaultClass, type FaultKind, type Lane, planFault, shares } from './plan.js';
import type { Violation } from './verdict.js';

export interface LanesOptions {
  readonly seed: number;
  readonly faults: number;
  readonly lanes: readonly Lane[];
  /** A worker without a job that goes on for so long ends the run. */
  readonly patienceMs: number;
  readonly onViolation: (violation: Violation) => void;
  readonly onKill: (job: HeldJob) => void;
  readonly log: (line: Readonly<Record<string, unknown>>) => void;
}
interface Victim {
  readonly worker: KeptWorker;
  readonly job: HeldJob;
}

/** How far a class may be ahead of the slowest one, of its share. */
const lead = 0.06;
const placeOf = ({ process }: KeptWorker) => `${process.options.name} #${process.starts}`;
const wait = (ms: number) => new Promise<void>((over) => setTimeout(over, ms));

export class FaultLanes {
  readonly byKind: Partial<Record<FaultKind, number>> = {};
  readonly #quota = new Map<FaultClass, number>();
  readonly #made = new Map<FaultClass, number>();
  readonly #began = performance.now();
  /** Workers whose clock is wrong now, and processes that have seen it wrong (by worker and how often it was started by then). */
  readonly #wrongClocks = new Set<string>();
  #over = false;

  constructor(
    private readonly installation: Installation,
    private readonly options: LanesOptions,
  ) {
    const classes = [...new Set(options.lanes.map((lane) => lane.class))];
    const whole = classes.reduce((sum, name) => sum + shares[name], 0);
    let left = options.faults;
    for (const [i, name] of classes.entries()) {
      const quota = i === classes.length - 1 ? left : Math.round((options.faults * shares[name]) / whole);
      this.#quota.set(name, quota);
      this.#made.set(name, 0);
      left -= quota;
    }
  }

  get made(): number {
    return [...this.#made.values()].reduce((sum, n) => sum + n, 0);
  }
  /** A worker whose clock was moved ends by itself, as it should, however late it looks at its clock. */
  mayEnd(name: string): boolean {
    const worker = this.installation.workers.find(({ process }) => process.options.name === name);
    return worker !== undefined && (this.#wrongClocks.has(name) || this.#wrongClocks.has(placeOf(worker)));
  }

  /** No new faults; those that were made heal. */
  end(): void {
    this.#over = true;
  }

  /** Resolves when all are made and healed, or after `end`. */
  async run(): Promise<void> {
    await Promise.all(
      this.options.lanes.map((lane) =>
        this.#runLane(lane).catch((error: unknown) => {
          this.end();
          throw error;
        }),
      ),
    );
  }

  #share(name: FaultClass): number {
    const quota = this.#quota.get(name) ?? 0;
    return quota === 0 ? 1 : (this.#made.get(name) ?? 0) / quota;
  }
  #isDone = (name: FaultClass): boolean => this.#over || this.#share(name) >= 1;
  #isAhead = (name: FaultClass): boolean => this.#share(name) > Math.min(...[...this.#quota.keys()].map((n) => this.#share(n))) + lead;

  async #runLane(lane: Lane): Promise<void> {
    for (let index = 0; !this.#isDone(lane.class); index++) {
      const fault = planFault(this.options.seed, lane, index);
      await wait(fault.gapMs);
      while (this.#isAhead(lane.class) && !this.#isDone(lane.class)) await wait(50);
      const victim = lane.class === 'attempts' ? await this.#victim(lane, fault) : null;
      if (this.#isDone(lane.class)) return;
      await this.#make(lane, fault, victim);
    }
  }

  async #make(lane: Lane, fault: Fault, victim: Victim | null): Promise<void> {
    const { seed, index, kind, holdMs, deep } = fault;
    // Counted before it is made: another lane must not make one more meanwhile.
    this.#made.set(lane.class, (this.#made.get(lane.class) ?? 0) + 1);
    const at = Math.round(performance.now() - this.#began);
    const wrongClock = kind === 'clock.worker' ? victim?.worker : undefined;
    if (wrongClock) this.#wrongClocks.add(wrongClock.process.options.name).add(placeOf(wrongClock));
    const injected = await inject(fault, this.installation, victim);
    if (injected === null) {
      this.#made.set(lane.class, (this.#made.get(lane.class) ?? 0) - 1);
      this.options.log({ seed, lane: lane.name, index, kind, missed: true, at });
      return;
    }
    this.byKind[kind] = (this.byKind[kind] ?? 0) + 1;
    this.options.log({ seed, lane: lane.name, index, kind, holdMs, deep, at, ...injected.what });
    if (victim && /^kill|^flip/.test(kind)) this.options.onKill(victim.job);
    await injected.healed.catch((error: unknown) =>
      this.options.onViolation({ rule: 'what was broken can be mended', found: `${kind}: ${String(error)}` }),
    );
    if (wrongClock) {
      this.#wrongClocks.delete(wrongClock.process.options.name);
      // One that began while it was wrong may find out later.
      this.#wrongClocks.add(placeOf(wrongClock));
    }
  }

  /**
   * The job of the lane's worker, once it has a trainer at work and its last trouble is behind it: three trainers that die without a checkpoint between
   * them are poison by definition, and would be the harness's doing.
   */
  async #victim(lane: Lane, fault: Fault): Promise<Victim | null> {
    const { workers, ledger } = this.installation;
    const worker = workers[lane.worker] as KeptWorker;
    const fits = (job: HeldJob) =>
      job.status === 'running' && job.workerId === worker.id && job.fruitless === 0 && (!fault.deep || job.saved);
    for (const deadline = performance.now() + this.options.patienceMs; !this.#isDone(lane.class); await wait(100)) {
      const job = (await ledger.jobs()).find((held) => fits(held) && (fault.kind !== 'flip.checkpoint' || held.step >= 0));
      // The tables still say so of a worker that was killed and has not come back: only a trainer at work is worth a blow.
      if (job && (await this.installation.trainerOf(worker)) !== null) return { worker, job };
      if (performance.now() > deadline) throw new Error(`${lane.name}: no job goes on: ${JSON.stringify(await ledger.jobs())}`);
    }
    return null;
  }
}
