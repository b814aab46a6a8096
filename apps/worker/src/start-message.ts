/** What a trainer is told first: the job as it was asked for, where objects and models are, what it may go on from. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { canonicalJson, configIdentity, type JobSpec, type StorageLocation, type TrainerStart } from '@rowsmith/contracts';
import { type Attempt, completeSpec } from '@rowsmith/core';

export function startMessage(
  { job, epoch, checkpoints }: Attempt,
  { storage, modelsDir }: { readonly storage: StorageLocation; readonly modelsDir: string },
  traceparent: string | null,
): TrainerStart {
  return {
    type: 'start',
    ...specOf(job.spec),
    epoch,
    storage,
    model_dir: join(modelsDir, job.spec.model),
    resume_from: checkpoints.map(({ manifestKey, manifestSha256, step }) => ({
      manifest_key: manifestKey,
      manifest_sha256: manifestSha256,
      step,
    })),
    ...(traceparent === null ? {} : { traceparent }),
  };
}

/** A job that an older build stored goes on under the hash that its checkpoints have. */
function specOf(stored: JobSpec): { spec: JobSpec; config_sha256?: string } {
  const spec = completeSpec(stored);
  if (spec === stored) return { spec };
  return {
    spec,
    config_sha256: createHash('sha256')
      .update(canonicalJson(configIdentity(stored)))
      .digest('hex'),
  };
}
