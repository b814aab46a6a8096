/** What a job on a base model may ask for, put together from what admission, estimates, uploads and quotas go by. */
import { isEncoder, type JobIntegration, type ModelLimits } from '@rowsmith/contracts';
import { deviceClasses, jobLimits, memoryOf, type ProjectRecord } from '@rowsmith/core';
import { defaultMaxLineBytes } from '@rowsmith/data';
import { maxPartBytes, maxParts } from '../files/upload-parts.js';
import { modelFacts } from '../jobs/admit-job.js';
import { factsOf } from '../jobs/estimate.js';
import type { BaseModel } from './base-models.js';

/** What the operator has set. */
export interface ServiceLimits {
  readonly maxFileBytes: number;
  readonly maxBodyBytes: number;
  /** 0: no limit. */
  readonly requestsPerMinute: number;
  readonly maxStreamsPerKey: number;
  readonly trackers: ReadonlySet<JobIntegration['type']>;
}

export function modelLimits(model: BaseModel, service: ServiceLimits, { quotas }: Pick<ProjectRecord, 'quotas'>): ModelLimits {
  const facts = modelFacts(model);
  const { matrices, rowsOfChannels, job, hyperparameters, rowSparse, smallest } = jobLimits(facts);
  return {
    object: 'model.limits',
    model: model.id,
    kind: isEncoder(model.config) ? 'encoder' : 'decoder',
    context_length: facts.maxPositions,
    layers: facts.layers,
    matrices: [...matrices],
    rows_of_channels: { ...rowsOfChannels },
    job: { ...job, integrations: { ...job['integrations'], values: [...service.trackers].sort() } },
    hyperparameters: { ...hyperparameters },
    row_sparse: { ...rowSparse },
    devices: devicesFor({ model, settings: smallest, trainingExamples: 1, validationExamples: 0 }),
    files: { max_bytes: service.maxFileBytes, max_line_bytes: defaultMaxLineBytes, max_part_bytes: maxPartBytes, max_parts: maxParts },
    requests: {
      per_minute: service.requestsPerMinute === 0 ? null : service.requestsPerMinute,
      streams: service.maxStreamsPerKey,
      max_body_bytes: service.maxBodyBytes,
    },
    quotas: { ...quotas },
  };
}

/** Every example as long as the job lets it be. */
function devicesFor(job: Parameters<typeof factsOf>[0]): ModelLimits['devices'] {
  const { max_seq_length: longest } = job.settings.rowSparse;
  return deviceClasses.map(({ name, memoryBytes }) => ({
    device: name,
    memory_bytes: memoryBytes,
    memory: (['fast', 'low'] as const).map((mode) => {
      const { total } = memoryOf(factsOf(job, { mean: longest, longest }, mode === 'low'));
      return { mode, needed_bytes: total, fits: total <= memoryBytes };
    }),
  }));
}
