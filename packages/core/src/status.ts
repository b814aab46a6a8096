/** The one transition table of jobs; drawn in this room's README. */
import { type JobStatus, jobStatuses } from '@rowsmith/contracts';

const transitions: Readonly<Record<JobStatus, readonly JobStatus[]>> = {
  validating_files: ['queued', 'failed', 'cancelled'],
  queued: ['running', 'paused', 'failed', 'cancelled'],
  running: ['queued', 'pausing', 'succeeded', 'failed', 'cancelled'],
  pausing: ['paused', 'queued', 'succeeded', 'failed', 'cancelled'],
  paused: ['queued', 'cancelled'],
  succeeded: [],
  failed: [],
  cancelled: [],
};

export const finalStatuses = ['succeeded', 'failed', 'cancelled'] as const satisfies readonly JobStatus[];

/** No transition leaves it. */
export const isFinal = (status: JobStatus): boolean => transitions[status].length === 0;
export const canMove = (from: JobStatus, to: JobStatus): boolean => transitions[from].includes(to);
/** Statuses that may become `to`: the condition of the write that makes it so. */
export const sourcesOf = (to: JobStatus): readonly JobStatus[] => jobStatuses.filter((from) => canMove(from, to));
/** While an attempt holds the job: what can succeed. */
export const heldStatuses: readonly JobStatus[] = sourcesOf('succeeded');
