/** A run: the undisturbed job, then faults of all kinds at once while jobs run, then the verdict on every job and on the installation. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { canMount } from '../small-disk.js';
import { PatientClient } from './client.js';
import { FaultLanes } from './fault-lanes.js';
import { openInstallation } from './installation.js';
import { JobsUnderFault } from './jobs-under-fault.js';
import { type ChaosSurroundings, type FaultKind, lanesOf } from './plan.js';
import type { Violation } from './verdict.js';

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
  /** Only these kinds, for a closer look. */
  readonly only?: readonly FaultKind[];
  /** Without progress for so long is a violation. */
  readonly patienceMs?: number;
  /** No new faults after that many seconds: the verdict is then on those that were made. */
  readonly seconds?: number;
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

const defaults = { workers: 2, steps: 16, patienceMs: 180_000 };
const rounded = (ms: number) => Math.round(ms / 1_000);

export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const began = performance.now();
  const { workers = defaults.workers, steps = defaults.steps, patienceMs = defaults.patienceMs, seed, log } = options;
  const folder = await mkdtemp(join(tmpdir(), 'rowsmith-chaos-'));
  const surroundings: ChaosSurroundings = {
    ...{ queue: options.queue, storage: options.storage, smallDisk: canMount(folder), fakeTime: options.fakeTime ?? null },
  };
  if (!surroundings.smallDisk) log({ note: 'a small disk cannot be mounted here (that takes root): no disk is filled' });
  if (surroundings.fakeTime === null) log({ note: 'no libfaketime: no clock jumps' });

  const planned = lanesOf(surroundings, workers, options.only);
  if (planned.length === 0) throw new Error(`none of ${options.only?.join(', ')} can be made here`);

  const violations: Violation[] = [];
  let lanes: FaultLanes | null = null;
  const onViolation = (violation: Violation): void => {
    if (violation.rule === 'no process ends by itself' && lanes?.mayEnd(violation.found.split(':')[0] ?? '')) return;
    violations.push(violation);
    log({ violation, seed, afterFaults: lanes?.made ?? 0 });
    lanes?.end();
  };
  const brokenOff = (error: unknown) =>
    onViolation({ rule: 'the run comes to its end', found: error instanceof Error ? error.message : String(error) });
  const installation = await openInstallation(folder, { ...surroundings, workers, onDeath: onViolation });
  const client = new PatientClient(installation.url, installation.key, onViolation, patienceMs);
  const jobs = new JobsUnderFault(installation, client, {
    seed,
    steps,
    patienceMs,
    openJobs: options.openJobs ?? workers + 1,
    onViolation,
  });
  let faultSeconds = 0;
  try {
    log({ undisturbed: await jobs.undisturbed(), seconds: rounded(performance.now() - began) });
    const faultsBegan = performance.now();
    const running = new FaultLanes(installation, {
      ...{ seed, faults: options.faults, lanes: planned, patienceMs, onViolation, log },
      onKill: (job) => jobs.noteKill(job),
    });
    lanes = running;
    const enough = options.seconds === undefined ? undefined : setTimeout(() => running.end(), options.seconds * 1_000);
    const stopOpening = jobs.keepOpen();
    // What was made is judged, whatever ended the making.
    await running.run().catch(brokenOff);
    clearTimeout(enough);
    faultSeconds = (performance.now() - faultsBegan) / 1_000;
    await stopOpening().catch(brokenOff);
    await jobs.untilSettled();
    await jobs.judge();
  } catch (error) {
    brokenOff(error);
  } finally {
    await jobs.stopListening();
    for (const violation of await installation.stop()) onViolation(violation);
  }
  const keep = options.keep === true && violations.length > 0;
  if (!keep) await rm(folder, { recursive: true, force: true });
  const { recoveries } = jobs;
  return {
    ...{ faults: lanes?.made ?? 0, byKind: lanes?.byKind ?? {}, jobs: jobs.count, attempts: jobs.attempts },
    seconds: rounded(performance.now() - began),
    faultsPerMinute: Math.round(((lanes?.made ?? 0) / Math.max(1, faultSeconds)) * 600) / 10,
    recovery: {
      ...{ kills: recoveries.length, medianMs: recoveries[Math.floor(recoveries.length / 2)] ?? 0, longestMs: recoveries.at(-1) ?? 0 },
    },
    ...{ violations, folder: keep ? folder : null },
  };
}
