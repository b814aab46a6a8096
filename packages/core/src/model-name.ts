import type { JobRecord } from './ports.js';

/** Name of the model that a job makes: `ft:<base>:<project>:<suffix>:<job>`, as OpenAI names them. */
export const modelNameOf = (job: Pick<JobRecord, 'id' | 'model' | 'projectId' | 'suffix'>): string =>
  `ft:${job.model}:${job.projectId}:${job.suffix ?? ''}:${job.id}`;
