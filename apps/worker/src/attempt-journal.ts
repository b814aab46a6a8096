import type { FromTrainer } from '@rowsmith/contracts';
import { type Attempt, type AttemptFailure, type AttemptStore, type Fenced, modelNameOf } from '@rowsmith/core';
import { MetricBatch } from './metric-batch.js';
import type { Persistence } from './persistence.js';
import { earlyStopEvent, phaseEvent, plannedEvents, resumedEvents, sampleEvent } from './trainer-events.js';

export interface JournalOptions {
  readonly metricsDelayMs: number;
  /** A newer attempt owns the job. */
  readonly onFenced: () => void;
  /** A checkpoint stands in the tables. */
  readonly onRecorded: (manifestKey: string) => void;
}

const estimateEveryMs = 10_000;

/** Carries what a trainer says into the tables, in its order, and keeps what the supervisor must know of it. */
export class AttemptJournal {
  readonly #jobId: string;
  readonly #epoch: number;
  readonly #metrics: MetricBatch;
  readonly #phases: { name: string; at: number }[] = [];
  #step = 0;
  #totalSteps = 0;
  #estimatedAt = Number.NEGATIVE_INFINITY;
  #failure: AttemptFailure | null = null;
  #succeeded = false;

  constructor(
    private readonly attempts: AttemptStore,
    private readonly attempt: Attempt,
    private readonly persistence: Persistence,
    private readonly options: JournalOptions,
  ) {
    this.#jobId = attempt.job.id;
    this.#epoch = attempt.epoch;
    this.#metrics = new MetricBatch(() => this.flush(), options.metricsDelayMs);
  }

  /** What the trainer says it failed of. */
  get failure(): AttemptFailure | null {
    return this.#failure;
  }
  /** The result stands in the tables. */
  get succeeded(): boolean {
    return this.#succeeded;
  }
  get progress() {
    return { step: this.#step, totalSteps: this.#totalSteps, phases: this.#phases };
  }

  receive(message: FromTrainer): void {
    const { attempts } = this;
    const [id, epoch] = [this.#jobId, this.#epoch];
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
        for (const { manifest_key, reason, damaged } of message.rejected)
          if (damaged) this.#persist(() => attempts.quarantine(id, epoch, manifest_key, reason));
        break;
      case 'metric':
        this.#step = message.point.step;
        this.#metrics.add(message.point);
        break;
      case 'sample':
        this.#persist(() => attempts.progress(id, epoch, {}, [sampleEvent(message)]));
        break;
      case 'early_stop':
        this.#persist(() => attempts.progress(id, epoch, {}, [earlyStopEvent(message)]));
        break;
      case 'checkpoint':
        this.flush();
        this.#persist(() => this.#recordCheckpoint(message));
        break;
      case 'checkpoint_removed':
        this.#persist(() => attempts.checkpointRemoved(id, epoch, message.manifest_key));
        break;
      case 'done':
        this.flush();
        this.#persist(() => this.#recordResult(message));
        break;
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

  /** Metrics that wait go out before whatever is received next. */
  flush(): void {
    this.#persist(() => this.#writeMetrics());
  }

  #persist(write: () => Promise<Fenced>): void {
    this.persistence.add(async () => {
      if ((await write()) === 'fenced') this.options.onFenced();
    });
  }

  async #recordCheckpoint(message: Extract<FromTrainer, { type: 'checkpoint' }>): Promise<Fenced> {
    const { step, manifest_key: manifestKey, manifest_sha256: manifestSha256, metrics } = message;
    const fence = await this.attempts.checkpoint(this.#jobId, this.#epoch, { step, manifestKey, manifestSha256, metrics });
    if (fence === 'ok') this.options.onRecorded(manifestKey);
    return fence;
  }

  async #recordResult(message: Extract<FromTrainer, { type: 'done' }>): Promise<Fenced> {
    const fence = await this.attempts.succeed(this.#jobId, this.#epoch, {
      step: message.step,
      trainedTokens: message.trained_tokens,
      adapterManifestKey: message.manifest_key,
      adapterManifestSha256: message.manifest_sha256,
      fineTunedModel: modelNameOf(this.attempt.job),
    });
    this.#succeeded = fence === 'ok';
    return fence;
  }

  async #writeMetrics(): Promise<Fenced> {
    const points = this.#metrics.take();
    if (points.length === 0) return 'ok';
    try {
      if ((await this.attempts.metrics(this.#jobId, this.#epoch, points)) === 'fenced') return 'fenced';
    } catch (error) {
      // Tried again with whatever has come meanwhile; a repeated step replaces its row.
      for (const point of points) this.#metrics.add(point);
      throw error;
    }
    const seconds = points.flatMap((point) => (point.train_loss !== null && point.seconds !== null ? [point.seconds] : []));
    return seconds.length === 0 ? 'ok' : this.#estimate(seconds.reduce((a, b) => a + b, 0) / seconds.length);
  }

  async #estimate(secondsPerStep: number): Promise<Fenced> {
    if (performance.now() - this.#estimatedAt < estimateEveryMs) return 'ok';
    this.#estimatedAt = performance.now();
    const estimatedFinish = new Date(Date.now() + Math.max(0, this.#totalSteps - this.#step) * secondsPerStep * 1000);
    return this.attempts.progress(this.#jobId, this.#epoch, { estimatedFinish }, []);
  }
}
