import type { JobCheckpoint, JobEvent, JobObject } from '@rowsmith/contracts';
import { type CheckpointRecord, type JobRecord, modelNameOf, type StoredEvent } from '@rowsmith/core';
import { unixSeconds } from '../http/paging.js';

const secondsOrNull = (date: Date | null) => (date === null ? null : unixSeconds(date));

/** OpenAI's job object: every required key present, null where empty; ours are `suffix`, `row_sparse` and `progress`. */
export const toJobObject = (job: JobRecord): JobObject => ({
  id: job.id,
  object: 'fine_tuning.job',
  created_at: unixSeconds(job.createdAt),
  error: job.error === null ? null : { ...job.error },
  fine_tuned_model: job.fineTunedModel,
  finished_at: secondsOrNull(job.finishedAt),
  hyperparameters: job.hyperparameters,
  model: job.model,
  organization_id: job.projectId,
  result_files: [...job.resultFiles],
  status: job.status,
  trained_tokens: job.trainedTokens,
  training_file: job.trainingFile,
  training_files: job.spec.mixture?.map(({ file, weight }) => ({ file, weight })) ?? [{ file: job.trainingFile, weight: 1 }],
  validation_file: job.validationFile,
  validation_split: job.spec.validation_split ?? null,
  invalid_sample_skip_percentage: job.spec.invalid_sample_skip_percentage ?? 0,
  priority: job.priority,
  device_class: job.deviceClass,
  device: job.device,
  max_duration_seconds: job.maxDurationSeconds,
  seed: job.seed,
  estimated_finish: secondsOrNull(job.estimatedFinish),
  integrations: job.integrations === null ? null : [...job.integrations],
  metadata: job.metadata === null ? null : { ...job.metadata },
  suffix: job.suffix,
  method: { type: 'supervised', supervised: { hyperparameters: job.hyperparameters } },
  row_sparse: job.rowSparse,
  progress: { step: job.step, total_steps: job.totalSteps, attempt: job.epoch, phase: job.phase },
});

export const toEventObject = (event: StoredEvent): JobEvent => ({
  object: 'fine_tuning.job.event',
  id: event.id,
  created_at: unixSeconds(event.createdAt),
  level: event.level,
  message: event.message,
  type: event.kind,
  data: { ...event.data },
});

/** `ft:<base>:<project>:<suffix>:<job>:ckpt-step-<n>`, as OpenAI names checkpoints. */
export const toCheckpointObject = (job: JobRecord, checkpoint: CheckpointRecord): JobCheckpoint => ({
  object: 'fine_tuning.job.checkpoint',
  id: checkpoint.id,
  created_at: unixSeconds(checkpoint.createdAt),
  fine_tuned_model_checkpoint: `${job.fineTunedModel ?? modelNameOf(job)}:ckpt-step-${checkpoint.step}`,
  fine_tuning_job_id: job.id,
  step_number: checkpoint.step,
  metrics: checkpoint.metrics,
});
