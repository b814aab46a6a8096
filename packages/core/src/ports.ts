/**
 * What the service needs from its surroundings: Postgres (packages/db), objects (packages/storage), the queue (packages/queue).
 * Here: pages and jobs as the API sees them; beside it files, attempts, objects, the queue and the others, one file each (`*-ports.ts`).
 * null means "not there (or another project's)"; a thrown error means the backend failed. Expected races are returned results.
 * All times are the database's. Whoever constructs an adapter owns and closes its connections.
 */
import type {
  CheckpointId,
  CheckpointMetrics,
  CreateJobBody,
  EventId,
  EventType,
  FileId,
  Hyperparameters,
  JobId,
  JobIntegration,
  JobSpec,
  JobStatus,
  MetricPoint,
  ProjectId,
  RowSparseConfig,
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
  /** Workers that may run it; null: any (of the kind), until the first one took it. */
  readonly deviceClass: string | null;
  /** Kind of device asked for; null: any. */
  readonly device: 'cpu' | 'cuda' | null;
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
   * 'file_gone', 'job_gone': a file of the job, or a job whose rows it starts from, was deleted since it was looked at; nothing is stored.
   * 'deleted': the job that the key made.
   */
  create(
    job: NewJob,
    idempotency?: { readonly key: string; readonly bodySha256: string },
  ): Promise<{ readonly job: JobRecord; readonly replayed: boolean } | 'other_body' | 'deleted' | 'file_gone' | 'job_gone'>;
  /** The job that a request under this key has made, as long as keys are kept; 'other_body' when it was made by another one, 'deleted' when it is there no more. */
  replay(
    projectId: ProjectId,
    idempotency: { readonly key: string; readonly bodySha256: string },
  ): Promise<JobRecord | 'other_body' | 'deleted' | null>;
  /** Keys older than `idempotencyHours`. Returns how many. */
  dropOldKeys(): Promise<number>;
  /** What was asked for when the job was made; null for jobs from before it was kept. */
  request(projectId: ProjectId, id: string): Promise<CreateJobBody | null>;
  get(projectId: ProjectId, id: string): Promise<JobRecord | null>;
  list(
    projectId: ProjectId,
    page: Page & { readonly metadata?: Readonly<Record<string, string>> | 'none' | undefined },
  ): Promise<PageOf<JobRecord>>;
  /** queued: cancelled at once; running: asked of the worker by its next heartbeat; finished: 'final'. */
  cancel(projectId: ProjectId, id: string): Promise<JobRecord | 'final' | null>;
  /** queued: paused at once; running: `pausing`, asked of the worker by its next heartbeat; paused or pausing: as it is. */
  pause(projectId: ProjectId, id: string): Promise<JobRecord | 'final' | null>;
  /** Created without being started: `queued`; queued or running: as it is. 'paused': it was started before, and `resume` is meant. */
  start(projectId: ProjectId, id: string): Promise<JobRecord | 'final' | 'paused' | null>;
  /** paused: `queued` under a new dispatch number; queued or running: as it is. 'pausing': its worker has not stopped yet. */
  resume(projectId: ProjectId, id: string): Promise<JobRecord | 'final' | 'pausing' | null>;
  /**
   * A checkpoint of the step that the job shows now, or of a later one, is owed from here on (by its worker's next heartbeat); nothing changes where one is owed or there
   * already. 'not_running': no worker holds the job, or it is being cancelled.
   */
  requestCheckpoint(projectId: ProjectId, id: string): Promise<JobRecord | 'not_running' | null>;
  /**
   * A finished job is gone from every read, with its model, `resultFile`, events, metrics and checkpoints; its objects are garbage unless a job that has not ended starts
   * from them. Its row and attempts stay for quotas. 'unfinished': nothing is changed.
   */
  delete(projectId: ProjectId, id: string, resultFile: FileId): Promise<'deleted' | 'unfinished' | null>;
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
