/** What one worker tells Prometheus about itself and the trainer it supervises. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** The attempt that runs now, asked when somebody reads. */
export interface RunningAttempt {
  /** Resident memory of the trainer; null when the system does not tell. */
  readonly rssBytes: () => Promise<number | null>;
  /** Since the database last answered a heartbeat of the attempt. */
  readonly heartbeatAgeSeconds: () => number;
}
export interface TrainedStep {
  readonly seconds: number | null;
  readonly tokens: number | null;
  readonly labelledTokens: number | null;
}
export interface WorkerMetrics {
  /** Prometheus text. */
  text(): Promise<string>;
  attemptBegan(attempt: RunningAttempt): void;
  stepDone(step: TrainedStep): void;
  checkpointWritten(bytes: number): void;
  attemptEnded(outcome: string, seconds: number): void;
}

export function createWorkerMetrics(): WorkerMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  let running: RunningAttempt | null = null;

  const counter = (name: string, help: string) => new Counter({ name: `rowsmith_trainer_${name}`, help, registers });
  const steps = counter('steps_total', 'Optimiser steps done, repeated ones after a resume too');
  const tokens = counter('tokens_total', 'Tokens that went through the model in those steps, padding not counted');
  const labelled = counter('labelled_tokens_total', 'Tokens of them that were learned');
  const checkpoints = counter('checkpoints_total', 'Checkpoints stored');
  const checkpointBytes = counter('checkpoint_bytes_total', 'Bytes of those checkpoints');
  const stepSeconds = new Histogram({
    ...{ name: 'rowsmith_trainer_step_seconds', help: 'Duration of an optimiser step', registers },
    buckets: [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300],
  });
  const attempts = new Histogram({
    ...{ name: 'rowsmith_worker_attempt_seconds', help: 'Duration of an ended attempt, by outcome', labelNames: ['outcome'], registers },
    buckets: [1, 10, 60, 600, 3600, 36_000, 360_000],
  });
  new Gauge({
    ...{ name: 'rowsmith_worker_busy', help: '1 while an attempt runs', registers },
    collect() {
      this.set(running === null ? 0 : 1);
    },
  });
  new Gauge({
    ...{ name: 'rowsmith_trainer_resident_memory_bytes', help: 'Resident memory of the running trainer; absent without one', registers },
    async collect() {
      const bytes = (await running?.rssBytes()) ?? null;
      if (bytes === null) this.remove();
      else this.set(bytes);
    },
  });
  new Gauge({
    ...{ name: 'rowsmith_worker_heartbeat_age_seconds', help: 'Since the database last answered a heartbeat of the attempt', registers },
    collect() {
      if (running === null) this.remove();
      else this.set(running.heartbeatAgeSeconds());
    },
  });
  return {
    text: () => registry.metrics(),
    attemptBegan(attempt) {
      running = attempt;
    },
    stepDone(step) {
      steps.inc();
      if (step.seconds !== null) stepSeconds.observe(step.seconds);
      tokens.inc(step.tokens ?? 0);
      labelled.inc(step.labelledTokens ?? 0);
    },
    checkpointWritten(bytes) {
      checkpoints.inc();
      checkpointBytes.inc(bytes);
    },
    attemptEnded(outcome, seconds) {
      running = null;
      attempts.observe({ outcome }, seconds);
    },
  };
}
