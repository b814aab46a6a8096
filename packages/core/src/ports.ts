/**
 * What the service needs from its surroundings: Postgres (packages/db), objects (packages/storage), the queue (packages/queue).
 * null means "not there (or another project's)"; a thrown error means the backend failed. Expected races are returned results.
 * All times are the database's. Whoever constructs an adapter owns and closes its connections.
 */
import type {
  CheckpointId,
  CheckpointMetrics,
  CreateJobBody,
  ErrorClass,
  EventId,
  EventType,
  FileFindings,
  FileId,
  FilePurpose,
  Hyperparameters,
  JobId,
  JobIntegration,
  JobSpec,
  JobStatus,
  MetricPoint,
  ProjectId,
  RowSparseConfig,
  UploadId,
  UploadPartId,
  UploadStatus,
  WorkerId,
} from '@rowsmith/contracts';

export interface Page {
  /** Items created before this one come next (newest first); an id of the same kind. Unknown id: first page's error is the caller's. */
  readonly after?: string | undefined;
  readonly limit: number;
  readonly order?: 'asc' | 'desc' | undefined;
}
export interface PageOf<T> {
  readonly items: readonly T[];
  readonly hasMore: boolean;
}

export interface FileRecord {
  readonly id: FileId;
  readonly projectId: ProjectId;
  readonly filename: string;
  readonly purpose: FilePurpose;
  readonly bytes: number;
  readonly sha256: string;
  /** Object-store key of the content. */
  readonly key: string;
  /** Rows that can be trained on; null for results. */
  readonly examples: number | null;
  /** Lines that cannot. */
  readonly badLines: number;
  /** Kind of its rows; null for results. */
  readonly shape: string | null;
  readonly createdAt: Date;
  readonly expiresAt: Date | null;
}

export interface NewFile extends Omit<FileRecord, 'createdAt' | 'expiresAt' | 'badLines' | 'shape'> {
  /** What was found in it; null for results. */
  readonly findings: FileFindings | null;
  /** Seconds until it expires; null: never. */
  readonly lifeSeconds: number | null;
}

export interface FileStore {
  insert(file: NewFile): Promise<FileRecord>;
  findings(projectId: ProjectId, id: string): Promise<FileFindings | null>;
  get(projectId: ProjectId, id: string): Promise<FileRecord | null>;
  list(projectId: ProjectId, page: Page & { readonly purpose?: FilePurpose | undefined }): Promise<PageOf<FileRecord>>;
  /** 'in_use': an unfinished job reads it. */
  delete(projectId: ProjectId, id: string): Promise<FileRecord | 'in_use' | null>;
  /** Past their `expiresAt`, and read by no unfinished job. */
  expired(limit: number): Promise<readonly FileRecord[]>;
}

export interface UploadRecord {
  readonly id: UploadId;
  readonly projectId: ProjectId;
  readonly filename: string;
  readonly mimeType: string;
  /** Announced. */
  readonly bytes: number;
  readonly keepInvalid: boolean;
  /** Life of the file that it becomes; null: for ever. */
  readonly fileSeconds: number | null;
  readonly status: UploadStatus;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  readonly fileId: FileId | null;
}
export interface UploadPartRecord {
  readonly id: UploadPartId;
  readonly bytes: number;
  readonly key: string;
  readonly createdAt: Date;
}
/** Uploads in parts. Whatever ends an upload leaves its parts to `sweep`. */
export interface UploadStore {
  create(
    upload: Pick<UploadRecord, 'id' | 'projectId' | 'filename' | 'mimeType' | 'bytes' | 'keepInvalid' | 'fileSeconds'>,
    lifeSeconds: number,
  ): Promise<UploadRecord>;
  get(projectId: ProjectId, id: string): Promise<UploadRecord | null>;
  /** 'full': the parts together would have more bytes than announced, or be more than `maxParts`. */
  addPart(
    projectId: ProjectId,
    id: string,
    part: Pick<UploadPartRecord, 'id' | 'bytes' | 'key'>,
    maxParts: number,
  ): Promise<UploadPartRecord | 'not_pending' | 'full'>;
  parts(id: UploadId): Promise<readonly UploadPartRecord[]>;
  /** One transaction: the file appears and the upload is completed. */
  complete(id: UploadId, file: NewFile): Promise<FileRecord | 'not_pending'>;
  cancel(projectId: ProjectId, id: string): Promise<UploadRecord | 'not_pending' | null>;
  /** Parts of uploads that are over: their objects go first, then `dropParts` forgets them. */
  leftoverParts(limit: number): Promise<readonly UploadPartRecord[]>;
  dropParts(ids: readonly UploadPartId[]): Promise<void>;
}

export interface JobRecord {
  readonly id: JobId;
  readonly projectId: ProjectId;
  readonly status: JobStatus;
  readonly model: string;
  readonly suffix: string | null;
  readonly seed: number;
  readonly metadata: Readonly<Record<string, string>> | null;
  readonly integrations: readonly JobIntegration[] | null;
  readonly trainingFile: FileId;
  readonly validationFile: FileId | null;
  readonly hyperparameters: Hyperparameters;
  readonly rowSparse: RowSparseConfig;
  readonly spec: JobSpec;
  readonly epoch: number;
  readonly step: number;
  readonly totalSteps: number | null;
  readonly phase: string | null;
  readonly trainedTokens: number | null;
  readonly fineTunedModel: string | null;
  readonly resultFiles: readonly FileId[];
  /** 1 to 100, higher first. */
  readonly priority: number;
  /** Workers that may run it; null: any, until the first one took it. */
  readonly deviceClass: string | null;
  /** Of all attempts together; null: no limit. */
  readonly maxDurationSeconds: number | null;
  readonly error: { readonly code: string; readonly message: string; readonly param: string | null } | null;
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
  readonly estimatedFinish: Date | null;
  readonly cancelRequestedAt: Date | null;
  /** Object-store key of the adapter manifest once succeeded. */
  readonly adapterManifestKey: string | null;
  /** Of that manifest, as the trainer wrote it; null for jobs from before it was kept. */
  readonly adapterManifestSha256: string | null;
}
export type NewJob = Pick<
  JobRecord,
  | 'id'
  | 'projectId'
  | 'model'
  | 'suffix'
  | 'seed'
  | 'metadata'
  | 'trainingFile'
  | 'validationFile'
  | 'hyperparameters'
  | 'rowSparse'
  | 'spec'
  | 'totalSteps'
  | 'priority'
  | 'deviceClass'
  | 'maxDurationSeconds'
> & {
  /** The body as it was sent. */
  readonly request: CreateJobBody;
  /** false: stored as `paused` under dispatch number 0, until `start`. */
  readonly autoStart: boolean;
};

/** How long a repeated Idempotency-Key finds its job. */
export const idempotencyHours = 24;

export interface StoredEvent {
  readonly id: EventId;
  /** 1, 2, 3 ... without gap within a job, in commit order: the SSE id. */
  readonly seq: number;
  readonly createdAt: Date;
  readonly level: 'info' | 'warn' | 'error';
  readonly kind: 'message' | 'metrics';
  readonly message: string;
  readonly data: Readonly<Record<string, unknown>>;
}
export interface NewEvent {
  readonly level: 'info' | 'warn' | 'error';
  readonly type: EventType;
  readonly message: string;
  readonly data?: Readonly<Record<string, unknown>> | undefined;
}
export interface CheckpointRecord {
  readonly id: CheckpointId;
  readonly jobId: JobId;
  readonly step: number;
  readonly epoch: number;
  readonly manifestKey: string;
  readonly manifestSha256: string;
  readonly metrics: CheckpointMetrics;
  readonly createdAt: Date;
  /** Why later attempts pass it by; null: they do not. */
  readonly quarantineReason: string | null;
  /** Retention has deleted its objects since; null: they are there. */
  readonly removedAt: Date | null;
}

/** What finished jobs on a base model have shown, of one device class. */
export interface TrainingSpeed {
  readonly deviceClass: string;
  readonly jobs: number;
  /** Tokens a second of the slowest and the fastest of these jobs, evaluations and checkpoints not counted. */
  readonly slowest: number;
  readonly fastest: number;
  /** Least time that a job took beside its steps: loading, scoring, evaluating, making the adapter. */
  readonly overheadSeconds: number;
}

/** Jobs as the API sees them; every method takes the project, so that a foreign id is the same as none. */
export interface JobStore {
  /**
   * One transaction: job row `queued` (which is what the control loop dispatches from) and its first events; with a key, the idempotency row too.
   * 'file_gone': a file of the job was deleted since it was looked at; nothing is stored.
   */
  create(
    job: NewJob,
    idempotency?: { readonly key: string; readonly bodySha256: string },
  ): Promise<{ readonly job: JobRecord; readonly replayed: boolean } | 'other_body' | 'file_gone'>;
  /** The job that a request under this key has made, as long as keys are kept; 'other_body' when it was made by another one. */
  replay(
    projectId: ProjectId,
    idempotency: { readonly key: string; readonly bodySha256: string },
  ): Promise<JobRecord | 'other_body' | null>;
  /** Keys older than `idempotencyHours`. Returns how many. */
  dropOldKeys(): Promise<number>;
  /** What was asked for when the job was made; null for jobs from before it was kept. */
  request(projectId: ProjectId, id: string): Promise<CreateJobBody | null>;
  get(projectId: ProjectId, id: string): Promise<JobRecord | null>;
  list(projectId: ProjectId, page: Page & { readonly metadata?: Readonly<Record<string, string>> | undefined }): Promise<PageOf<JobRecord>>;
  /** queued: cancelled at once; running: asked of the worker by its next heartbeat; finished: 'final'. */
  cancel(projectId: ProjectId, id: string): Promise<JobRecord | 'final' | null>;
  /** queued: paused at once; running: `pausing`, asked of the worker by its next heartbeat; paused or pausing: as it is. */
  pause(projectId: ProjectId, id: string): Promise<JobRecord | 'final' | null>;
  /** Created without being started: `queued`; queued or running: as it is. 'paused': it was started before, and `resume` is meant. */
  start(projectId: ProjectId, id: string): Promise<JobRecord | 'final' | 'paused' | null>;
  /** paused: `queued` under a new dispatch number; queued or running: as it is. 'pausing': its worker has not stopped yet. */
  resume(projectId: ProjectId, id: string): Promise<JobRecord | 'final' | 'pausing' | null>;
  /** Newest first. 'no_cursor': `after` is no event of the job. */
  events(projectId: ProjectId, id: string, page: Page): Promise<PageOf<StoredEvent> | 'no_cursor' | null>;
  /** Oldest first, seq > `afterSeq`; for SSE. */
  eventsSince(projectId: ProjectId, id: string, afterSeq: number, limit: number): Promise<readonly StoredEvent[] | null>;
  /** By step, ascending, step > `afterStep`. */
  metrics(projectId: ProjectId, id: string, afterStep: number, limit: number): Promise<readonly MetricPoint[] | null>;
  /** 'no_cursor': `after` is no checkpoint of the job. */
  /** By its own id. */
  checkpoint(projectId: ProjectId, checkpointId: string): Promise<CheckpointRecord | null>;
  checkpoints(projectId: ProjectId, id: string, page: Page, which?: 'all' | 'kept'): Promise<PageOf<CheckpointRecord> | 'no_cursor' | null>;
  /** Not when the model was deleted. */
  succeededByModel(projectId: ProjectId, fineTunedModel: string): Promise<JobRecord | null>;
  /** The job keeps its record and its adapter; the model is no longer listed or found. false: there is none of that name. */
  deleteModel(projectId: ProjectId, fineTunedModel: string): Promise<boolean>;
  listFineTuned(projectId: ProjectId): Promise<readonly JobRecord[]>;
  /** Of the newest succeeded jobs on a base, whoever's they were: only rates leave here. Most jobs first. */
  speeds(baseSha256: string): Promise<readonly TrainingSpeed[]>;
}

/** Wakes waiting SSE streams: calls back with the job id after events were committed. Lost wake-ups are allowed; poll as well. */
export interface EventNotifier {
  subscribe(jobId: string, wake: () => void): () => void;
}

/** Outcome of a fenced write: 'fenced' = a newer attempt owns the job; stop and touch nothing. */
export type Fenced = 'ok' | 'fenced';

/** Jobs as a worker sees them. Every write after `begin` is conditional on the epoch it returned. */
export interface AttemptStore {
  /**
   * Raises the epoch, status `running`. 'not_runnable': finished, paused, cancelled meanwhile, alive elsewhere, or bound to another device class: drop the wake-up.
   * The first attempt binds the job to its device class, for another one would compute other bytes.
   */
  begin(jobId: string, workerId: WorkerId, deviceClass?: string): Promise<Attempt | 'not_runnable'>;
  /** Renews the attempt; tells what was asked meanwhile. preempt: a job of higher priority needs the place. */
  heartbeat(jobId: string, epoch: number): Promise<{ readonly fence: Fenced; readonly stop: 'cancel' | 'pause' | 'preempt' | null }>;
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
  setResultFile(jobId: JobId, file: FileId): Promise<void>;
}

export interface ObjectStat {
  readonly key: string;
  readonly bytes: number;
  /** By the store's own clock; to be compared with `now()` of the store and nothing else. */
  readonly modifiedAt: Date;
}
/** Keys are '/'-separated names of [A-Za-z0-9._-]; anything else throws. Nothing is visible until it is whole. */
export interface ObjectStore {
  /** Streams to `key`; overwrites. Returns what was stored. */
  put(key: string, body: AsyncIterable<Uint8Array> | Uint8Array): Promise<{ readonly sha256: string; readonly bytes: number }>;
  /** 'exists' when another writer was first. */
  putIfAbsent(key: string, body: Uint8Array): Promise<'created' | 'exists'>;
  /** null when there is no such object. `range` is inclusive bytes. */
  get(key: string, range?: { readonly start: number; readonly end: number }): Promise<AsyncIterable<Uint8Array> | null>;
  getBytes(key: string): Promise<Uint8Array | null>;
  head(key: string): Promise<ObjectStat | null>;
  list(prefix: string): AsyncIterable<ObjectStat>;
  /** No error when it is not there. */
  delete(key: string): Promise<void>;
  /** The store's own clock: what it would note as `modifiedAt` of an object written now. */
  now(): Promise<Date>;
  /** Removes what writers that died left half done and is older than `olderThanMs` by the store's clock. Returns how many. */
  sweepUnfinished(olderThanMs: number): Promise<number>;
}

/** The wake-up service. Postgres tables decide; a message only says "look at this job". */
export interface WakeQueue {
  /** Idempotent by (jobId, dispatchNo). Without classes the workers of the default one are woken. */
  wake(
    jobId: string,
    dispatchNo: number,
    options?: { readonly deviceClasses?: readonly string[]; readonly priority?: number },
  ): Promise<void>;
  /** Takes away what a worker with a wrong clock left behind and would keep others from their work. Returns how much; 0 where clocks do no harm. */
  repair(): Promise<number>;
  /** True while the backend answers. */
  ready(): Promise<boolean>;
  close(): Promise<void>;
}
export interface WakeConsumer {
  /** Stops taking messages; resolves when the current handler returned, or at once with `force`. */
  close(force?: boolean): Promise<void>;
}
/** Returns normally when the job needs no further wake-up from this message. `signal` aborts when the lock was lost. */
export type WakeHandler = (jobId: string, signal: AbortSignal) => Promise<void>;
