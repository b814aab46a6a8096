/** Where the metrics of jobs are sent: W&B, MLflow. All times are the database's. */
import type { JobIntegration } from '@rowsmith/contracts';
import type { JobRecord } from './ports.js';

/** One integration of a job that this process may now serve; nobody else will until its lease ends. */
export interface DueTracking {
  readonly job: JobRecord;
  /** Of the integration in the job's list. */
  readonly position: number;
  readonly integration: JobIntegration;
  /** What `note` was told; null before the run was made. */
  readonly handle: string | null;
  /** Highest step that was sent, -1: none. */
  readonly lastStep: number;
  readonly sentPoints: number;
  /** Failures in a row. */
  readonly tries: number;
}

export interface TrackingStore {
  /** Started jobs whose list names integrations that are not over; each at most every `everySeconds`. */
  due(limit: number, leaseSeconds: number): Promise<readonly DueTracking[]>;
  /** Progress: what was sent is noted after it was sent, so a crash between repeats it. `finished`: the run was closed. */
  note(
    due: DueTracking,
    progress: { readonly handle: string; readonly url: string | null; readonly lastStep: number; readonly sentPoints: number },
    next: { readonly inSeconds: number } | 'finished',
  ): Promise<void>;
  /** retryInSeconds null: given up, with a warning among the job's events; the job itself is not touched. */
  fail(due: DueTracking, message: string, retryInSeconds: number | null): Promise<void>;
}
