/** Rows to the records of core's ports: the only place where a database string becomes a branded id. */
import type {
  CheckpointId,
  CheckpointMetrics,
  EventId,
  FileId,
  Hyperparameters,
  JobId,
  JobIntegration,
  JobSpec,
  MetricPoint,
  ProjectId,
  RowSparseConfig,
} from '@rowsmith/contracts';
import { type CheckpointRecord, completeRowSparse, type FileRecord, type JobRecord, type StoredEvent } from '@rowsmith/core';
import type { Checkpoint, Event, File, Job, Metric } from './generated/client.js';

export const filePurposeOf = { fine_tune: 'fine-tune', fine_tune_results: 'fine-tune-results' } as const;
export const filePurposeColumn = { 'fine-tune': 'fine_tune', 'fine-tune-results': 'fine_tune_results' } as const;

export const fileRecord = (row: Omit<File, 'report' | 'bytes'> & { readonly bytes: bigint | string }): FileRecord => ({
  id: row.id as FileId,
  projectId: row.projectId as ProjectId,
  filename: row.filename,
  purpose: filePurposeOf[row.purpose],
  bytes: Number(row.bytes),
  sha256: row.sha256,
  key: row.key,
  examples: row.examples,
  badLines: row.badLines,
  shape: row.shape,
  createdAt: row.createdAt,
  expiresAt: row.expiresAt,
});

function deviceOf(request: unknown): JobRecord['device'] {
  const device = (request as { device?: 'auto' | JobRecord['device'] } | null)?.device ?? 'auto';
  return device === 'auto' ? null : device;
}

const columnOfJob = {
  ...{ id: 'id', projectId: 'project_id', status: 'status', model: 'model', suffix: 'suffix', seed: 'seed', metadata: 'metadata' },
  ...{ request: 'request', trainingFile: 'training_file', validationFile: 'validation_file', hyperparameters: 'hyperparameters' },
  ...{ rowSparse: 'row_sparse', spec: 'spec', epoch: 'epoch', step: 'step', totalSteps: 'total_steps', phase: 'phase' },
  ...{ trainedTokens: 'trained_tokens', fineTunedModel: 'fine_tuned_model', resultFiles: 'result_files', priority: 'priority' },
  ...{ deviceClass: 'device_class', maxDurationSeconds: 'max_duration_seconds', errorCode: 'error_code', errorMessage: 'error_message' },
  ...{ errorParam: 'error_param', createdAt: 'created_at', startedAt: 'started_at', finishedAt: 'finished_at' },
  ...{ estimatedFinish: 'estimated_finish', cancelRequestedAt: 'cancel_requested_at', adapterManifestKey: 'adapter_manifest_key' },
  ...{ adapterManifestSha256: 'adapter_manifest_sha256' },
} as const satisfies Partial<Record<keyof Job, string>>;

/** What a record is made of; the driver gives bigint as text. */
export type JobRow = Omit<Pick<Job, keyof typeof columnOfJob>, 'trainedTokens'> & { readonly trainedTokens: bigint | string | null };

/** For SELECT and RETURNING: the columns of a JobRow under its names. */
export const jobColumns = Object.entries(columnOfJob)
  .map(([name, column]) => (name === column ? name : `${column} AS "${name}"`))
  .join(', ');

export const jobRecord = (row: JobRow): JobRecord => ({
  id: row.id as JobId,
  projectId: row.projectId as ProjectId,
  status: row.status,
  model: row.model,
  suffix: row.suffix,
  seed: row.seed,
  metadata: row.metadata as Record<string, string> | null,
  integrations: (row.request as { integrations?: JobIntegration[] | null } | null)?.integrations ?? null,
  trainingFile: row.trainingFile as FileId,
  validationFile: row.validationFile as FileId | null,
  hyperparameters: row.hyperparameters as Hyperparameters,
  rowSparse: completeRowSparse(row.rowSparse as unknown as RowSparseConfig),
  spec: row.spec as unknown as JobSpec,
  epoch: row.epoch,
  step: row.step,
  totalSteps: row.totalSteps,
  phase: row.phase,
  trainedTokens: row.trainedTokens === null ? null : Number(row.trainedTokens),
  fineTunedModel: row.fineTunedModel,
  resultFiles: row.resultFiles as FileId[],
  priority: row.priority,
  deviceClass: row.deviceClass,
  device: deviceOf(row.request),
  maxDurationSeconds: row.maxDurationSeconds,
  error: row.errorCode === null ? null : { code: row.errorCode, message: row.errorMessage ?? '', param: row.errorParam },
  createdAt: row.createdAt,
  startedAt: row.startedAt,
  finishedAt: row.finishedAt,
  estimatedFinish: row.estimatedFinish,
  cancelRequestedAt: row.cancelRequestedAt,
  adapterManifestKey: row.adapterManifestKey,
  adapterManifestSha256: row.adapterManifestSha256,
});

export const storedEvent = (row: Omit<Event, 'jobId' | 'projectId'>): StoredEvent => ({
  id: row.id as EventId,
  seq: row.seq,
  createdAt: row.createdAt,
  level: row.level,
  kind: row.type === 'metrics' ? 'metrics' : 'message',
  message: row.message,
  data: { type: row.type, ...(row.data as Record<string, unknown>) },
});

export const checkpointRecord = (row: Checkpoint): CheckpointRecord => ({
  id: row.id as CheckpointId,
  jobId: row.jobId as JobId,
  step: row.step,
  epoch: row.epoch,
  manifestKey: row.manifestKey,
  manifestSha256: row.manifestSha256,
  metrics: row.metrics as CheckpointMetrics,
  createdAt: row.createdAt,
  quarantineReason: row.quarantinedAt === null ? null : (row.quarantineReason ?? ''),
  removedAt: row.removedAt,
});

export const metricPoint = (row: Omit<Metric, 'jobId' | 'projectId'>): MetricPoint => ({
  step: row.step,
  epoch: row.epoch,
  train_loss: row.trainLoss,
  train_mean_token_accuracy: row.trainMeanTokenAccuracy,
  valid_loss: row.validLoss,
  valid_mean_token_accuracy: row.validMeanTokenAccuracy,
  learning_rate: row.learningRate,
  grad_norm: row.gradNorm,
  tokens: row.tokens,
  labelled_tokens: row.labelledTokens,
  seconds: row.seconds,
});
