/** One attempt of one job, from the wake-up to its outcome in the tables. This process only supervises: it never computes. */
import { join } from 'node:path';
import { type FromTrainer, type JobSpec, type ToTrainer, trainerExit, type WorkerId } from '@rowsmith/contracts';
import type { Attempt, AttemptFailure, AttemptStore, JobRecord } from '@rowsmith/core';
import type { Logger } from '@rowsmith/telemetry';
import { createAttemptReport } from './attempt-report.js';
import { startTrainer, type TrainerExit } from './trainer-process.js';

export interface RunDeps {
  readonly attempts: AttemptStore;
  readonly workerId: WorkerId;
  readonly trainerProgram: string;
  readonly env: NodeJS.ProcessEnv;
  readonly threads: number;
  readonly objectsDir: string;
  readonly modelsDir: string;
  readonly log: Logger;
  readonly heartbeatMs: number;
  readonly stopGraceMs: number;
  readonly silenceMs: number;
}
type StopReason = Extract<ToTrainer, { type: 'stop' }>['reason'];

/** OpenAI's form: `ft:<base>:<organisation>:<suffix>:<job>`. */
const modelName = (job: JobRecord) => `ft:${job.model}:${job.projectId}:${job.suffix ?? ''}:${job.id}`;

function startMessage({ job, epoch, checkpoints }: Attempt, spec: JobSpec, deps: RunDeps): ToTrainer {
  return {
    type: 'start',
    spec,
    epoch,
    storage: { driver: 'fs', root: deps.objectsDir },
    model_dir: join(deps.modelsDir, job.model),
    resume_from: checkpoints.map((c) => ({ manifest_key: c.manifestKey, manifest_sha256: c.manifestSha256, step: c.step })),
  };
}

/** A trainer that ended without a last word. */
function crash({ code, signal }: TrainerExit, silent: boolean): AttemptFailure {
  const infra = (name: string, message: string): AttemptFailure => ({ class: 'infra', code: name, message, param: null });
  if (silent) return infra('trainer_silent', 'the trainer gave no sign of life and was ended');
  if (signal === 'SIGKILL') return infra('trainer_killed', 'the trainer was killed from outside (SIGKILL), perhaps for want of memory');
  if (signal) return infra('trainer_crashed', `the trainer ended by ${signal}`);
  return infra('trainer_crashed', `the trainer ended with exit code ${code}`);
}

/**
 * `shutdown` aborts when the worker is to stop: the trainer checkpoints and the job goes back into the queue. `lost` aborts when the wake-up's lock was
 * lost: somebody else may have the job, so the trainer is ended; the fence decides what counts.
 */
export async function runJob(deps: RunDeps, jobId: string, lost: AbortSignal, shutdown: AbortSignal): Promise<void> {
  if (shutdown.aborted) return;
  const attempt = await deps.attempts.begin(jobId, deps.workerId);
  if (attempt === 'not_runnable') return;
  const { epoch } = attempt;
  const startedAt = performance.now();
  const log = deps.log.child({ op: 'attempt', job: jobId, attempt: epoch });
  let outcome = 'unknown';
  let stopReason: StopReason | null = null;
  let fenced = false;
  let silent = false;
  let lastSign = performance.now();
  let storeError: unknown = null;
  const timers: NodeJS.Timeout[] = [];

  const report = createAttemptReport(deps.attempts, jobId, epoch, {
    onFenced: () => {
      fenced = true;
      trainer.kill();
    },
    onRecorded: (manifestKey) => trainer.send({ type: 'recorded', manifest_key: manifestKey }),
    // The tables cannot be reached: go on would train for nobody. The attempt is lost, the reconciler or the next worker takes it up.
    onError: (error) => {
      storeError = error;
      trainer.kill();
    },
    now: () => new Date(),
  });
  const trainer = startTrainer({
    program: deps.trainerProgram,
    env: deps.env,
    threads: deps.threads,
    onMessage: (message: FromTrainer) => {
      lastSign = performance.now();
      report.add(message);
    },
    onInvalid: (error) => {
      log.error({ err: error }, 'invalid message from the trainer');
      trainer.kill();
    },
  });
  const ask = (reason: StopReason) => {
    if (stopReason !== null) return;
    stopReason = reason;
    trainer.send({ type: 'stop', reason });
    timers.push(setTimeout(() => trainer.kill(), deps.stopGraceMs));
  };
  const onShutdown = () => ask('handback');
  const onLost = () => trainer.kill();
  shutdown.addEventListener('abort', onShutdown, { once: true });
  lost.addEventListener('abort', onLost, { once: true });
  const beat = setInterval(async () => {
    if (performance.now() - lastSign > deps.silenceMs) {
      silent = true;
      trainer.kill();
    }
    try {
      const { fence, stop } = await deps.attempts.heartbeat(jobId, epoch);
      if (fence === 'fenced') {
        fenced = true;
        trainer.kill();
      } else if (stop) ask(stop);
    } catch (error) {
      log.warn({ err: error }, 'heartbeat failed, tried again');
    }
  }, deps.heartbeatMs);

  trainer.send(startMessage(attempt, attempt.job.spec, deps));
  const exit = await trainer.exited;
  try {
    await report.flush();
    if (storeError) throw storeError;
    outcome = fenced ? 'fenced' : await settle(deps.attempts, attempt, report.final, exit, stopReason, silent);
  } catch (error) {
    outcome = 'store_failed';
    log.error({ err: error }, 'the outcome of an attempt could not be written; it will be taken up again');
  } finally {
    clearInterval(beat);
    for (const timer of timers) clearTimeout(timer);
    shutdown.removeEventListener('abort', onShutdown);
    lost.removeEventListener('abort', onLost);
    const failed = outcome === 'retry' || outcome === 'failed';
    const line = {
      outcome,
      seconds: (performance.now() - startedAt) / 1000,
      exit: { code: exit.code, signal: exit.signal },
      ...(failed ? { trainer: exit.stderr } : {}),
    };
    if (failed) log.warn(line, 'attempt');
    else log.info(line, 'attempt');
  }
}

/** Writes what the attempt came to; returns a word for the log. */
async function settle(
  store: AttemptStore,
  { job, epoch }: Attempt,
  final: FromTrainer | null,
  exit: TrainerExit,
  asked: StopReason | null,
  silent: boolean,
): Promise<string> {
  if (final?.type === 'done') {
    await store.succeed(job.id, epoch, {
      step: final.step,
      trainedTokens: final.trained_tokens,
      adapterManifestKey: final.manifest_key,
      fineTunedModel: modelName(job),
    });
    return 'succeeded';
  }
  // Asked to stop, it stopped, or was ended after the grace: either way its last checkpoint stands.
  if (asked === 'cancel') {
    await store.cancelled(job.id, epoch);
    return 'cancelled';
  }
  if (asked === 'handback' && (final?.type === 'stopped' || exit.signal === 'SIGKILL' || exit.code === trainerExit.stopped)) {
    await store.handback(job.id, epoch);
    return 'handback';
  }
  const failure =
    final?.type === 'failed' ? { class: final.class, code: final.code, message: final.message, param: final.param } : crash(exit, silent);
  return (await store.fail(job.id, epoch, failure)).decision;
}
