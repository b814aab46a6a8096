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

export const fileRecord = (row: Omit<File, 'report'>): FileRecord => ({
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

export const jobRecord = (row: Job): JobRecord => ({
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

export const storedEvent = (row: Event): StoredEvent => ({
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

export const metricPoint = (row: Metric): MetricPoint => ({
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
