/** One attempt, from the trainer's start to the row that says how it ended. Never computes: the heartbeat must go out whatever the trainer does. */
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { FromTrainer, StorageLocation } from '@rowsmith/contracts';
import { type Attempt, type AttemptFailure, type AttemptStore, type Fenced, modelNameOf } from '@rowsmith/core';
import type { Logger } from '@rowsmith/telemetry';
import { failureOfExit, oomKillCount } from './exit-failure.js';
import { MetricBatch } from './metric-batch.js';
import { Persistence } from './persistence.js';
import { phaseEvent, plannedEvents, resumedEvents, sampleEvent } from './trainer-events.js';
import { startTrainer, type TrainerExit, type TrainerProcess } from './trainer-process.js';

export interface SupervisorTiming {
  readonly heartbeatMs: number;
  /** From a stop request to SIGTERM. */
  readonly stopGraceMs: number;
  /** From SIGTERM to SIGKILL. */
  readonly termGraceMs: number;
  /** Without a message from the trainer. */
  readonly trainerSilenceMs: number;
  /** Without an answer from the database; after that another worker may own the job. */
  readonly databaseSilenceMs: number;
  readonly metricsDelayMs: number;
}
export interface SupervisorDeps {
  readonly attempts: AttemptStore;
  readonly log: Logger;
  readonly trainerProgram: string;
  readonly trainerEnv: Readonly<Record<string, string>>;
  readonly storage: StorageLocation;
  readonly modelsDir: string;
  /** Scratch space of this worker's trainers; one folder per attempt, removed after it. */
  readonly scratchDir: string;
  readonly timing: SupervisorTiming;
}
export type AttemptOutcome = 'succeeded' | 'retry' | 'failed' | 'cancelled' | 'handback' | 'fenced' | 'lost';

/** Why the trainer is being stopped. `fenced`, `lost` (no database) and `broken` (silent, or talking nonsense) kill it at once. */
type Stop = 'cancel' | 'pause' | 'handback' | 'fenced' | 'lost' | 'broken';

/** Runs the attempt to its end; `handback` asks for it to be given back. Rejects only by a bug. */
export function superviseAttempt(deps: SupervisorDeps, attempt: Attempt, handback: AbortSignal): Promise<AttemptOutcome> {
  return new Supervision(deps, attempt, handback).run();
}

class Supervision {
  readonly #jobId: string;
  readonly #epoch: number;
  readonly #scratch: string;
  readonly #persistence: Persistence;
  readonly #metrics: MetricBatch;
  readonly #beganAt = performance.now();
  readonly #phases: { name: string; at: number }[] = [];
  readonly #timers = new Set<NodeJS.Timeout>();
  #trainer: TrainerProcess | undefined;
  #stop: Stop | null = null;
  #failure: AttemptFailure | null = null;
  #succeeded = false;
  #step = 0;
  #totalSteps = 0;
  #lastMessageAt = performance.now();
  #estimatedAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly deps: SupervisorDeps,
    private readonly attempt: Attempt,
    private readonly handback: AbortSignal,
  ) {
    this.#jobId = attempt.job.id;
    this.#epoch = attempt.epoch;
    this.#scratch = join(deps.scratchDir, `${attempt.job.id}-e${attempt.epoch}`);
    this.#persistence = new Persistence(deps.timing.databaseSilenceMs, () => this.#end('lost'));
    this.#metrics = new MetricBatch(() => this.#persist(() => this.#flushMetrics()), deps.timing.metricsDelayMs);
  }

  async run(): Promise<AttemptOutcome> {
    const oomKills = await countOomKills();
    const onHandback = () => this.#end('handback');
    try {
      await mkdir(this.#scratch, { recursive: true });
      this.#trainer = this.#spawn();
      void this.#heartbeats();
      this.handback.addEventListener('abort', onHandback);
      if (this.handback.aborted) onHandback();
      const exit = await this.#trainer.exited;
      // What is known of the last steps is stored before the end is.
      this.#persist(() => this.#flushMetrics());
      await this.#persistence.idle();
      const outcome = await this.#conclude(exit, (await countOomKills()) - oomKills);
      this.#report(outcome, exit);
      return outcome;
    } finally {
      this.handback.removeEventListener('abort', onHandback);
      for (const timer of this.#timers) clearTimeout(timer);
      this.#trainer?.kill('SIGKILL');
      this.#persistence.close();
      await rm(this.#scratch, { recursive: true, force: true });
    }
  }

  #spawn(): TrainerProcess {
    const { job, epoch, checkpoints } = this.attempt;
    const trainer = startTrainer({
      program: this.deps.trainerProgram,
      env: { ...this.deps.trainerEnv, TMPDIR: this.#scratch },
      cwd: this.#scratch,
      onMessage: (message) => this.#receive(message),
      onInvalid: (error) => {
        this.#failure ??= {
          class: 'infra',
          code: 'invalid_message',
          message: 'the trainer sent something that is no message',
          param: null,
        };
        this.deps.log.error({ op: 'attempt.invalid_message', jobId: this.#jobId, epoch, err: error });
        this.#end('broken');
      },
    });
    trainer.send({
      type: 'start',
      spec: job.spec,
      epoch,
      storage: this.deps.storage,
      model_dir: join(this.deps.modelsDir, job.spec.model),
      resume_from: checkpoints.map(({ manifestKey, manifestSha256, step }) => ({
        manifest_key: manifestKey,
        manifest_sha256: manifestSha256,
        step,
      })),
    });
    return trainer;
  }

  #receive(message: FromTrainer): void {
    const { attempts } = this.deps;
    const [id, epoch] = [this.#jobId, this.#epoch];
    this.#lastMessageAt = performance.now();
    switch (message.type) {
      case 'phase':
        this.#phases.push({ name: message.phase, at: performance.now() });
        this.#persist(() => attempts.progress(id, epoch, { phase: message.phase }, [phaseEvent(message)]));
        break;
      case 'planned':
        this.#totalSteps = message.total_steps;
        this.#persist(() => attempts.progress(id, epoch, { totalSteps: message.total_steps }, plannedEvents(message)));
        break;
      case 'resumed':
        this.#step = message.step;
        this.#persist(() => attempts.progress(id, epoch, {}, resumedEvents(message)));
        break;
      case 'metric':
        this.#step = message.point.step;
        this.#metrics.add(message.point);
        break;
      case 'sample':
        this.#persist(() => attempts.progress(id, epoch, {}, [sampleEvent(message)]));
        break;
      case 'checkpoint': {
        const { step, manifest_key: manifestKey, manifest_sha256: manifestSha256, metrics } = message;
        this.#persist(() => this.#flushMetrics());
        this.#persist(() => attempts.checkpoint(id, epoch, { step, manifestKey, manifestSha256, metrics }));
        this.#persist(async () => {
          this.#trainer?.send({ type: 'recorded', manifest_key: manifestKey });
          return 'ok';
        });
        break;
      }
      case 'done': {
        const result = {
          step: message.step,
          trainedTokens: message.trained_tokens,
          adapterManifestKey: message.manifest_key,
          fineTunedModel: modelNameOf(this.attempt.job),
        };
        this.#persist(() => this.#flushMetrics());
        this.#persist(async () => {
          const fence = await attempts.succeed(id, epoch, result);
          this.#succeeded = fence === 'ok';
          return fence;
        });
        break;
      }
      case 'stopped':
        this.#step = message.step;
        break;
      case 'failed': {
        const { type: _, ...failure } = message;
        this.#failure = failure;
        break;
      }
    }
  }

  /** In order, again and again while the database is away, not at all once the attempt is not ours any more. */
  #persist(write: () => Promise<Fenced>): void {
    this.#persistence.add(async () => {
      if ((await write()) === 'fenced') this.#end('fenced');
    });
  }

  async #flushMetrics(): Promise<Fenced> {
    const points = this.#metrics.take();
    if (points.length === 0) return 'ok';
    try {
      const fence = await this.deps.attempts.metrics(this.#jobId, this.#epoch, points);
      if (fence === 'fenced') return fence;
    } catch (error) {
      // Tried again with whatever has come meanwhile; a repeated step replaces its row.
      for (const point of points) this.#metrics.add(point);
      throw error;
    }
    const seconds = points.flatMap((point) => (point.train_loss !== null && point.seconds !== null ? [point.seconds] : []));
    return seconds.length === 0 ? 'ok' : this.#estimate(seconds.reduce((a, b) => a + b, 0) / seconds.length);
  }

  async #estimate(secondsPerStep: number): Promise<Fenced> {
    if (performance.now() - this.#estimatedAt < 10_000) return 'ok';
    this.#estimatedAt = performance.now();
    const estimatedFinish = new Date(Date.now() + Math.max(0, this.#totalSteps - this.#step) * secondsPerStep * 1000);
    return this.deps.attempts.progress(this.#jobId, this.#epoch, { estimatedFinish }, []);
  }

  /** The first beat goes out at once: a cancel may have been asked for before the attempt began. */
  async #heartbeats(): Promise<void> {
    const { heartbeatMs, trainerSilenceMs, databaseSilenceMs } = this.deps.timing;
    let answeredAt = performance.now();
    for (;;) {
      try {
        const { fence, stop } = await this.deps.attempts.heartbeat(this.#jobId, this.#epoch);
        answeredAt = performance.now();
        // After success the row is final, which also reads as fenced.
        if (fence === 'fenced' && !this.#succeeded) return this.#end('fenced');
        if (stop) this.#end(stop);
      } catch (error) {
        this.deps.log.warn({ op: 'attempt.heartbeat', jobId: this.#jobId, epoch: this.#epoch, err: error });
        if (performance.now() - answeredAt > databaseSilenceMs) this.#end('lost');
      }
      if (performance.now() - this.#lastMessageAt > trainerSilenceMs) {
        const message = `the trainer was silent for ${Math.round(trainerSilenceMs / 1000)} seconds`;
        this.#failure ??= { class: 'infra', code: 'trainer_silent', message, param: null };
        this.#end('broken');
      }
      if (this.#persistence.closed) return;
      await new Promise((next) => this.#after(heartbeatMs, () => next(null)));
    }
  }

  /** The first reason stays, but a cancel replaces the milder ones, and the hard ones everything. */
  #end(reason: Stop): void {
    const hard = reason === 'fenced' || reason === 'lost' || reason === 'broken';
    const again = this.#stop === reason || this.#stop === 'fenced' || this.#stop === 'lost' || this.#stop === 'broken';
    if (again || (this.#stop !== null && !hard && reason !== 'cancel')) return;
    const first = this.#stop === null;
    this.#stop = reason;
    if (hard) {
      if (reason !== 'broken') this.#persistence.close();
      this.#trainer?.kill('SIGKILL');
      return;
    }
    this.#trainer?.send({ type: 'stop', reason: reason as 'cancel' | 'pause' | 'handback' });
    if (!first) return;
    this.#after(this.deps.timing.stopGraceMs, () => {
      this.#trainer?.kill('SIGTERM');
      this.#after(this.deps.timing.termGraceMs, () => this.#trainer?.kill('SIGKILL'));
    });
  }

  #after(ms: number, act: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, ms);
    this.#timers.add(timer);
  }

  /** The order matters: a result counts even when a stop was asked for, and what the user asked for counts more than how the trainer ended. */
  async #conclude(exit: TrainerExit, oomKills: number): Promise<AttemptOutcome> {
    const { attempts } = this.deps;
    const [id, epoch] = [this.#jobId, this.#epoch];
    if (this.#succeeded) return 'succeeded';
    let outcome: AttemptOutcome = 'lost';
    this.#persistence.add(async () => {
      const end = (fence: Fenced, said: AttemptOutcome) => {
        outcome = fence === 'fenced' ? 'fenced' : said;
      };
      if (this.#stop === 'cancel') return end(await attempts.cancelled(id, epoch), 'cancelled');
      const asked = this.#stop === 'handback' || this.#stop === 'pause';
      if (asked && this.#failure === null) return end(await attempts.handback(id, epoch), 'handback');
      this.#failure ??= failureOfExit(exit, oomKills);
      const { fence, decision } = await attempts.fail(id, epoch, this.#failure);
      end(fence, decision);
    });
    await this.#persistence.idle();
    return outcome === 'lost' && this.#stop === 'fenced' ? 'fenced' : outcome;
  }

  #report(outcome: AttemptOutcome, { code, signal, output }: TrainerExit): void {
    const ends = [...this.#phases.slice(1).map(({ at }) => at), performance.now()];
    const phases: Record<string, number> = {};
    this.#phases.forEach(({ name, at }, i) => {
      phases[name] = Math.round((phases[name] ?? 0) + (ends[i] as number) - at);
    });
    const fine = outcome === 'succeeded' || outcome === 'cancelled' || outcome === 'handback';
    const line = {
      op: 'attempt',
      jobId: this.#jobId,
      epoch: this.#epoch,
      outcome,
      ...(fine || this.#failure === null
        ? {}
        : { errorClass: this.#failure.class, errorCode: this.#failure.code, reason: this.#failure.message }),
      durationMs: Math.round(performance.now() - this.#beganAt),
      phaseMs: phases,
      step: this.#step,
      totalSteps: this.#totalSteps,
      stop: this.#stop,
      exitCode: code,
      exitSignal: signal,
      ...(fine ? {} : { trainerOutput: output }),
    };
    if (fine) this.deps.log.info(line);
    else this.deps.log.error(line);
  }
}

async function countOomKills(): Promise<number> {
  return oomKillCount(await readFile('/proc/vmstat', 'utf8').catch(() => ''));
}
