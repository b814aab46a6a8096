/** One attempt, from the trainer's start to the row that says how it ended. Never computes: the heartbeat must go out whatever the trainer does. */
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { FromTrainer, StorageLocation } from '@rowsmith/contracts';
import type { Attempt, AttemptFailure, AttemptStore, Fenced } from '@rowsmith/core';
import { currentTraceparent, inSpan, type Logger, type WorkerMetrics } from '@rowsmith/telemetry';
import { AttemptJournal } from './attempt-journal.js';
import { type AttemptOutcome, attemptLine, wentWell } from './attempt-line.js';
import { expired, failureOfExit, oomKillCount } from './exit-failure.js';
import { Persistence } from './persistence.js';
import { residentMemory } from './resident-memory.js';
import { startMessage } from './start-message.js';
import { isHard, replaces, type Stop } from './stop-reason.js';
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
  readonly metrics: WorkerMetrics;
  readonly trainerProgram: string;
  readonly trainerEnv: Readonly<Record<string, string>>;
  readonly trainerNiceness: number;
  /** Of `confinementOf`. */
  readonly trainerWrapper: readonly string[];
  readonly storage: StorageLocation;
  readonly modelsDir: string;
  /** Scratch space of this worker's trainers; one folder per attempt, removed after it. */
  readonly scratchDir: string;
  readonly timing: SupervisorTiming;
}

const longestTimerMs = 2 ** 31 - 1;

/** Runs the attempt to its end; `handback` asks for it to be given back. Rejects only by a bug. */
export function superviseAttempt(deps: SupervisorDeps, attempt: Attempt, handback: AbortSignal): Promise<AttemptOutcome> {
  const { job, epoch, traceparent } = attempt;
  const attributes = { 'rowsmith.job.id': job.id, 'rowsmith.attempt': epoch, 'rowsmith.model': job.model };
  return inSpan('job.attempt', { role: 'consumer', parent: traceparent, attributes }, async (span) => {
    const outcome = await new Supervision(deps, attempt, handback).run();
    span.note({ 'rowsmith.outcome': outcome });
    return outcome;
  });
}

class Supervision {
  readonly #jobId: string;
  readonly #epoch: number;
  readonly #scratch: string;
  readonly #persistence: Persistence;
  readonly #journal: AttemptJournal;
  readonly #beganAt = performance.now();
  readonly #timers = new Set<NodeJS.Timeout>();
  #trainer: TrainerProcess | undefined;
  #stop: Stop | null = null;
  #failure: AttemptFailure | null = null;
  #lastMessageAt = performance.now();
  #answeredAt = performance.now();
  /** Of the checkpoint that the trainer was last told to make. */
  #toldStep: number | null = null;

  constructor(
    private readonly deps: SupervisorDeps,
    private readonly attempt: Attempt,
    private readonly handback: AbortSignal,
  ) {
    this.#jobId = attempt.job.id;
    this.#epoch = attempt.epoch;
    this.#scratch = join(deps.scratchDir, `${attempt.job.id}-e${attempt.epoch}`);
    this.#persistence = new Persistence(deps.timing.databaseSilenceMs, () => this.#end('lost'));
    this.#journal = new AttemptJournal(deps.attempts, attempt, this.#persistence, {
      metricsDelayMs: deps.timing.metricsDelayMs,
      onFenced: () => this.#end('fenced'),
      onRecorded: (manifestKey) => this.#trainer?.send({ type: 'recorded', manifest_key: manifestKey }),
    });
  }

  async run(): Promise<AttemptOutcome> {
    const oomKills = await countOomKills();
    const onHandback = () => this.#end('handback');
    try {
      const exit = await this.#train(onHandback);
      this.#journal.flush();
      await this.#persistence.idle();
      const outcome = await this.#conclude(exit, (await countOomKills()) - oomKills);
      this.#log(outcome, exit);
      this.deps.metrics.attemptEnded(outcome, (performance.now() - this.#beganAt) / 1000);
      return outcome;
    } finally {
      this.handback.removeEventListener('abort', onHandback);
      for (const timer of this.#timers) clearTimeout(timer);
      this.#trainer?.kill('SIGKILL');
      this.#persistence.close();
      await rm(this.#scratch, { recursive: true, force: true });
    }
  }

  async #train(onHandback: () => void): Promise<TrainerExit> {
    try {
      await mkdir(this.#scratch, { recursive: true });
    } catch (error) {
      this.#fault('no_scratch_space', 'the worker cannot make a folder for the trainer', error);
      return { code: null, signal: null, output: '' };
    }
    this.#trainer = this.#spawn();
    this.deps.metrics.attemptBegan({
      rssBytes: () => residentMemory(this.#trainer?.pid),
      heartbeatAgeSeconds: () => (performance.now() - this.#answeredAt) / 1000,
    });
    void this.#heartbeats();
    this.handback.addEventListener('abort', onHandback);
    if (this.handback.aborted) onHandback();
    const { remainingMs } = this.attempt;
    if (remainingMs !== null && remainingMs < longestTimerMs) this.#after(Math.max(0, remainingMs), () => this.#end('expired'));
    return this.#trainer.exited;
  }

  /** A failure that the worker itself saw. What the trainer said of itself counts more. */
  #fault(code: string, message: string, error?: unknown): void {
    this.#failure ??= { class: 'infra', code, message, param: null };
    this.deps.log.error({ op: 'attempt.fault', jobId: this.#jobId, epoch: this.#epoch, code, err: error });
  }

  #spawn(): TrainerProcess {
    const trainer = startTrainer({
      program: this.deps.trainerProgram,
      env: { ...this.deps.trainerEnv, TMPDIR: this.#scratch },
      cwd: this.#scratch,
      niceness: this.deps.trainerNiceness,
      wrapper: this.deps.trainerWrapper,
      onMessage: (message) => {
        this.#lastMessageAt = performance.now();
        this.#measure(message);
        this.#journal.receive(message);
      },
      onInvalid: (error) => {
        this.#fault('invalid_message', 'the trainer sent something that is no message', error);
        this.#end('broken');
      },
    });
    trainer.send(startMessage(this.attempt, this.deps, currentTraceparent()));
    return trainer;
  }

  #measure(message: FromTrainer): void {
    const { metrics } = this.deps;
    if (message.type === 'checkpoint') metrics.checkpointWritten(message.bytes);
    // A point of an evaluation alone has no training loss, and is no step.
    if (message.type !== 'metric' || message.point.train_loss === null) return;
    const { seconds, tokens, labelled_tokens: labelledTokens } = message.point;
    metrics.stepDone({ seconds, tokens, labelledTokens });
  }

  /** The first beat goes out at once: a cancel may have been asked for before the attempt began. */
  async #heartbeats(): Promise<void> {
    const { heartbeatMs, trainerSilenceMs, databaseSilenceMs } = this.deps.timing;
    this.#answeredAt = performance.now();
    for (;;) {
      try {
        const { fence, stop, wantedCheckpoint } = await this.deps.attempts.heartbeat(this.#jobId, this.#epoch);
        this.#answeredAt = performance.now();
        // After success the row is final, which also reads as fenced.
        if (fence === 'fenced' && !this.#journal.succeeded) return this.#end('fenced');
        if (stop) this.#end(stop);
        this.#askForCheckpoint(wantedCheckpoint);
      } catch (error) {
        this.deps.log.warn({ op: 'attempt.heartbeat', jobId: this.#jobId, epoch: this.#epoch, err: error });
        if (performance.now() - this.#answeredAt > databaseSilenceMs) this.#end('lost');
      }
      if (performance.now() - this.#lastMessageAt > trainerSilenceMs) {
        this.#fault('trainer_silent', `the trainer was silent for ${Math.round(trainerSilenceMs / 1000)} seconds`);
        this.#end('broken');
      }
      if (this.#persistence.closed) return;
      await new Promise((next) => this.#after(heartbeatMs, () => next(null)));
    }
  }

  /** It is owed until the tables hold it, so every beat may name it; the trainer hears of each once. */
  #askForCheckpoint(step: number | null): void {
    if (step === null || step === this.#toldStep) return;
    this.#toldStep = step;
    this.#trainer?.send({ type: 'checkpoint_wanted', step });
  }

  #end(reason: Stop): void {
    if (!replaces(reason, this.#stop)) return;
    const first = this.#stop === null;
    this.#stop = reason;
    if (isHard(reason)) {
      if (reason !== 'broken') this.#persistence.close();
      this.#trainer?.kill('SIGKILL');
      return;
    }
    this.#trainer?.send({ type: 'stop', reason: reason === 'cancel' || reason === 'pause' ? reason : 'handback' });
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

  #log(outcome: AttemptOutcome, exit: TrainerExit): void {
    const line = attemptLine({
      ...{ jobId: this.#jobId, epoch: this.#epoch, outcome, failure: this.#failure, stop: this.#stop },
      ...{ ...this.#journal.progress, beganAt: this.#beganAt, endedAt: performance.now(), exit },
    });
    if (wentWell(outcome)) this.deps.log.info(line);
    else this.deps.log.error(line);
  }

  /** The order matters: a result counts even when a stop was asked for, and what the user asked for counts more than how the trainer ended. */
  async #conclude(exit: TrainerExit, oomKills: number): Promise<AttemptOutcome> {
    const { attempts } = this.deps;
    const [id, epoch] = [this.#jobId, this.#epoch];
    if (this.#journal.succeeded) return 'succeeded';
    let outcome: AttemptOutcome = 'lost';
    this.#persistence.add(async () => {
      const end = (fence: Fenced, said: AttemptOutcome) => {
        outcome = fence === 'fenced' ? 'fenced' : said;
      };
      if (this.#stop === 'cancel') return end(await attempts.cancelled(id, epoch), 'cancelled');
      const failure = this.#journal.failure ?? this.#failure;
      if (failure === null) {
        if (this.#stop === 'handback') return end(await attempts.handback(id, epoch), 'handback');
        if (this.#stop === 'preempt') return end(await attempts.handback(id, epoch, 'preempted'), 'preempted');
        if (this.#stop === 'pause') return end(await attempts.paused(id, epoch), 'paused');
      }
      this.#failure = failure ?? (this.#stop === 'expired' ? expired : failureOfExit(exit, oomKills));
      const { fence, decision } = await attempts.fail(id, epoch, this.#failure);
      end(fence, decision);
    });
    await this.#persistence.idle();
    return outcome === 'lost' && this.#stop === 'fenced' ? 'fenced' : outcome;
  }
}

async function countOomKills(): Promise<number> {
  return oomKillCount(await readFile('/proc/vmstat', 'utf8').catch(() => ''));
}
