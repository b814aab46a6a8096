import type { MetricPoint } from '@rowsmith/contracts';

/** What a tracking server is told of a job when its run is made. */
export interface RunDescription {
  /** The job's id: the run's too, where the server lets us choose, so that a repeated start finds the same run. */
  readonly jobId: string;
  readonly name: string;
  readonly tags: readonly string[];
  /** Resolved settings; nested objects are allowed. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Unix milliseconds. */
  readonly startedAt: number;
}
export type RunEnd = 'succeeded' | 'failed' | 'cancelled';

/** A run on a tracking server. Every call may be repeated after a crash with the same arguments. */
export interface TrackedRun {
  /** Text from which `attach` finds the run again. */
  readonly handle: string;
  /** Where a person finds it; null if the server has no pages. */
  readonly url: string | null;
  /** Points ascending by step. offset: number of points sent before these. at: unix milliseconds. */
  log(points: readonly MetricPoint[], offset: number, at: number): Promise<void>;
  finish(end: RunEnd, at: number): Promise<void>;
}

/** retry: false where the same request cannot work later (a wrong key, an unknown project). */
export class TrackingError extends Error {
  override readonly name = 'TrackingError';
  readonly code = 'tracking_failed';
  constructor(
    message: string,
    readonly retry: boolean,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
