/** Jobs as workers and the control loop see them. */
import type { CheckpointMetrics, ErrorClass, FileId, JobId, MetricPoint, WorkerId } from '@rowsmith/contracts';
import type { CheckpointRecord, JobRecord, NewEvent } from './ports.js';

/** Outcome of a fenced write: 'fenced' = a newer attempt owns the job; stop and touch nothing. */
export type Fenced = 'ok' | 'fenced';

/** Jobs as a worker sees them. Every write after `begin` is conditional on the epoch it returned. */
export interface AttemptStore {
  /**
   * Raises the epoch, status `running`. 'not_runnable': finished, paused, cancelled meanwhile, alive elsewhere, or bound to another device class: drop the wake-up.
   * The first attempt binds the job to its device class, for another one would compute other bytes.
   */
  begin(jobId: string, workerId: WorkerId, deviceClass?: string): Promise<Attempt | 'not_runnable'>;
  /**
   * Renews the attempt; tells what was asked meanwhile. preempt: a job of higher priority needs the place. wantedCheckpoint: one of this step or a later one is owed
   * (null: none), until `checkpoint` stores it; it outlives the attempt.
   */
  heartbeat(
    jobId: string,
    epoch: number,
  ): Promise<{ readonly fence: Fenced; readonly stop: 'cancel' | 'pause' | 'preempt' | null; readonly wantedCheckpoint: number | null }>;
  progress(
    jobId: string,
    epoch: number,
    change: { readonly phase?: string; readonly totalSteps?: number; readonly estimatedFinish?: Date | null },
    events: readonly NewEvent[],
  ): Promise<Fenced>;
  /** Points whose step is already stored are replaced (a resumed attempt repeats steps since the checkpoint, with the same values). */
  metrics(jobId: string, epoch: number, points: readonly MetricPoint[]): Promise<Fenced>;
  checkpoint(
    jobId: string,
    epoch: number,
    c: { readonly step: number; readonly manifestKey: string; readonly manifestSha256: string; readonly metrics: CheckpointMetrics },
  ): Promise<Fenced>;
  succeed(
    jobId: string,
    epoch: number,
    result: {
      readonly step: number;
      readonly trainedTokens: number;
      readonly adapterManifestKey: string;
      readonly adapterManifestSha256: string;
      readonly fineTunedModel: string;
    },
  ): Promise<Fenced>;
  /** Acts on the decision of `decideAfterFailure`: back to `queued` with a reason, or `failed`. */
  fail(jobId: string, epoch: number, failure: AttemptFailure): Promise<{ readonly fence: Fenced; readonly decision: 'retry' | 'failed' }>;
  cancelled(jobId: string, epoch: number): Promise<Fenced>;
  /** A worker that starts under the same id as before: its earlier attempts are dead; back to `queued`. Returns how many. */
  reclaim(workerId: WorkerId): Promise<number>;
  /** The worker goes away on purpose, or gives the place to another job (`preempted`): back to `queued`, or `paused` if that was asked for; no attempt counted. */
  handback(jobId: string, epoch: number, why?: 'preempted'): Promise<Fenced>;
  /** Stopped after a checkpoint because the user asked: `paused`, no attempt counted. */
  paused(jobId: string, epoch: number): Promise<Fenced>;
  /** A damaged checkpoint: no later attempt looks at it again, its objects stay for somebody to look at. */
  quarantine(jobId: string, epoch: number, manifestKey: string, reason: string): Promise<Fenced>;
  /** Its objects are deleted: no later attempt and no user is offered it. */
  checkpointRemoved(jobId: string, epoch: number, manifestKey: string): Promise<Fenced>;
}
export interface Attempt {
  readonly job: JobRecord;
  readonly epoch: number;
  /** Newest first, without those in quarantine and those that retention has deleted. */
  readonly checkpoints: readonly CheckpointRecord[];
  /** What earlier attempts left of the time that the job may run; null: no limit. */
  readonly remainingMs: number | null;
  /** W3C Trace Context of the request that made the job; null: it was not traced. */
  readonly traceparent: string | null;
}
export interface AttemptFailure {
  readonly class: ErrorClass;
  readonly code: string;
  readonly message: string;
  readonly param: string | null;
}

export interface WaitingJob {
  readonly jobId: JobId;
  /** Part of the message's id: raised whenever the job is queued again. */
  readonly dispatchNo: number;
  /** Whose workers are woken: one, or every living one while no attempt has bound the job; empty: nobody lives. */
  readonly deviceClasses: readonly string[];
  /** 0 to 100, higher first. */
  readonly priority: number;
  readonly traceparent: string | null;
}

/** For the control plane's loop (outbox + reconciler, reliability.md guard 6). */
export interface DispatchStore {
  /** Runs `work` if this process becomes or is the leader (session advisory lock); false otherwise. */
  asLeader(work: () => Promise<void>): Promise<boolean>;
  /** Lets queued jobs go to the workers as `planDispatch` says, and asks attempts to make room. `aliveMs`: silence after which a worker does not count. */
  release(aliveMs: number): Promise<{ readonly released: number; readonly preempted: number }>;
  /** Released jobs, oldest first, with all that a wake-up needs. */
  waiting(limit: number): Promise<readonly WaitingJob[]>;
  /** `running` jobs without heartbeat for `staleMs`: back to `queued` with a new dispatchNo and an `attempt.lost` event. Returns how many. */
  requeueLost(staleMs: number): Promise<number>;
  /** A finished job's result file etc. is the API's to make; these are succeeded jobs whose result_files are still empty. */
  withoutResultFile(limit: number): Promise<readonly JobRecord[]>;
  /** For a job that was deleted meanwhile the file goes again. */
  setResultFile(jobId: JobId, file: FileId): Promise<void>;
}
