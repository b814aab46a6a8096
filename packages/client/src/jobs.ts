/** Fine-tuning jobs: what is done to them. What they leave is in job-results.ts. */
import type { CloneJobBody, CreateJobBody, JobEstimate, JobEvent, JobObject } from '@rowsmith/contracts';
import { requireOk } from './api-error.js';
import { type Abortable, type Calls, given, jobPath, type ListOf, type PageOptions, pageOf, path, unwrap } from './calls.js';
import { advance, type JobProgress, noProgress } from './job-progress.js';
import { type StreamEventsOptions, streamEvents } from './stream-events.js';

export interface ListJobsOptions extends PageOptions {
  /** Jobs that have all of these pairs. */
  readonly metadata?: Readonly<Record<string, string>>;
}
export interface SendOnce {
  /** The same key with the same body within a day gives the same job, not a second one. */
  readonly idempotencyKey?: string;
}
export interface WaitOptions extends Abortable {
  readonly onEvent?: (event: JobEvent) => void;
  /** After each event that moved it: step, losses, phase, rates. */
  readonly onProgress?: (progress: JobProgress) => void;
}

export interface JobMethods {
  createJob(body: CreateJobBody, options?: SendOnce): Promise<JobObject>;
  /** Tokens, steps, memory, duration and fit per device class; nothing is stored or queued. */
  estimateJob(body: CreateJobBody): Promise<JobEstimate>;
  /** A new job like an earlier one; `changes` is a JSON merge patch (RFC 7396) of its request. */
  cloneJob(id: string, changes?: CloneJobBody, options?: SendOnce): Promise<JobObject>;
  getJob(id: string): Promise<JobObject>;
  listJobs(options?: ListJobsOptions): Promise<ListOf<JobObject>>;
  /** Queues a job that was made with `auto_start: false`. */
  startJob(id: string): Promise<JobObject>;
  /** A running job is still `running` in the answer; it stops within seconds. */
  cancelJob(id: string): Promise<JobObject>;
  /** A running job is `pausing` until its worker has written a checkpoint. */
  pauseJob(id: string): Promise<JobObject>;
  resumeJob(id: string): Promise<JobObject>;
  /** The checkpoint follows within seconds and a step, if there is none of the step that the job shows; the event `checkpoint.created` tells. A job that does not run: 409. */
  requestCheckpoint(id: string): Promise<JobObject>;
  /** Finished jobs only (409 else): gone with model, adapter, checkpoints, events, metrics and result file. */
  deleteJob(id: string): Promise<void>;
  /** Newest first. */
  listEvents(id: string, page?: PageOptions): Promise<ListOf<JobEvent>>;
  /** Live events, oldest first, across reconnects; ends when the job is finished. */
  streamEvents(id: string, options?: StreamEventsOptions): AsyncGenerator<JobEvent, void, undefined>;
  /** Resolves to the finished job, whatever its end; an abort rejects with its reason and leaves the job alone. */
  waitForJob(id: string, options?: WaitOptions): Promise<JobObject>;
}

export function jobMethods({ api, http }: Calls): JobMethods {
  const getJob = async (id: string): Promise<JobObject> => unwrap(await api.GET('/v1/fine_tuning/jobs/{id}', { params: path(id) }));
  const once = ({ idempotencyKey }: SendOnce = {}) => given({ 'idempotency-key': idempotencyKey });
  return {
    createJob: async (body, options) => unwrap(await api.POST('/v1/fine_tuning/jobs', { body, params: { header: once(options) } })),
    estimateJob: async (body) => unwrap(await api.POST('/v1/fine_tuning/jobs/estimate', { body })),
    // A patch has any shape that the server will judge: the document's types are those of whole values.
    async cloneJob(id, changes = {}, options) {
      const response = await http.fetch(jobPath(id, 'clone'), {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...once(options) },
        body: JSON.stringify(changes),
      });
      return (await (await requireOk(response)).json()) as JobObject;
    },
    getJob,
    listJobs: async ({ metadata, ...page } = {}) =>
      unwrap(await api.GET('/v1/fine_tuning/jobs', { params: { query: { ...pageOf(page), ...given({ metadata }) } } })),
    startJob: async (id) => unwrap(await api.POST('/v1/fine_tuning/jobs/{id}/start', { params: path(id) })),
    cancelJob: async (id) => unwrap(await api.POST('/v1/fine_tuning/jobs/{id}/cancel', { params: path(id) })),
    pauseJob: async (id) => unwrap(await api.POST('/v1/fine_tuning/jobs/{id}/pause', { params: path(id) })),
    resumeJob: async (id) => unwrap(await api.POST('/v1/fine_tuning/jobs/{id}/resume', { params: path(id) })),
    requestCheckpoint: async (id) => unwrap(await api.POST('/v1/fine_tuning/jobs/{id}/checkpoints', { params: path(id) })),
    deleteJob: async (id) => {
      unwrap(await api.DELETE('/v1/fine_tuning/jobs/{id}', { params: path(id) }));
    },
    async listEvents(id, page) {
      // Asked for as JSON: the route's other answer is a stream that may not end.
      const query = new URLSearchParams(Object.entries(pageOf(page)).map(([name, value]): [string, string] => [name, String(value)]));
      const response = await http.fetch(`${jobPath(id, 'events')}?${query}`, { headers: { accept: 'application/json' } });
      return (await (await requireOk(response)).json()) as ListOf<JobEvent>;
    },
    streamEvents: (id, stream) => streamEvents(http, id, stream),
    async waitForJob(id, { signal, onEvent, onProgress } = {}) {
      let progress = noProgress;
      for await (const event of streamEvents(http, id, signal ? { signal } : {})) {
        onEvent?.(event);
        const next = advance(progress, event);
        if (next !== progress) onProgress?.(next);
        progress = next;
      }
      return getJob(id);
    },
  };
}
