/** The typed client: `api` calls any route of the OpenAPI document; the methods do what takes more than one call, or a stream. */
import type {
  CreateJobBody,
  FileObject,
  JobCheckpoint,
  JobEvent,
  JobObject,
  MetricPoint,
  ModelObject,
  Verification,
  VerificationLink,
} from '@rowsmith/contracts';
import createClient, { type Client } from 'openapi-fetch';
import { apiError, requireOk } from './api-error.js';
import type { paths } from './generated/api.js';
import { makeHttp } from './http.js';
import { type StreamEventsOptions, streamEvents } from './stream-events.js';
import { type UploadOptions, uploadFile } from './upload.js';
import { verifyJob } from './verify-job.js';

export interface RowsmithClientOptions {
  /** e.g. `http://127.0.0.1:8080` */
  readonly baseUrl: string;
  /** null: none is sent. */
  readonly apiKey: string | null;
  readonly fetch?: typeof globalThis.fetch;
}
export interface ListOf<T> {
  readonly data: readonly T[];
  readonly has_more: boolean;
}
export interface PageOptions {
  readonly after?: string;
  readonly limit?: number;
}

/** Every method throws RowsmithApiError when the API refuses, and the network's own error when it is not there. */
export interface RowsmithClient {
  readonly api: Client<paths>;
  uploadFile(source: string | Blob, options?: UploadOptions): Promise<FileObject>;
  listFiles(page?: PageOptions): Promise<ListOf<FileObject>>;
  getFile(id: string): Promise<FileObject>;
  deleteFile(id: string): Promise<void>;
  /** The content as it is stored. */
  fileContent(id: string): Promise<ReadableStream<Uint8Array>>;
  createJob(body: CreateJobBody, options?: { readonly idempotencyKey?: string }): Promise<JobObject>;
  getJob(id: string): Promise<JobObject>;
  listJobs(page?: PageOptions): Promise<ListOf<JobObject>>;
  /** A running job is still `running` in the answer; it stops within seconds. */
  cancelJob(id: string): Promise<JobObject>;
  checkpoints(id: string, page?: PageOptions): Promise<ListOf<JobCheckpoint>>;
  /** All points, by step. */
  metrics(id: string, options?: { readonly afterStep?: number }): Promise<readonly MetricPoint[]>;
  /** Live events, oldest first, across reconnects; ends when the job is finished. */
  streamEvents(id: string, options?: StreamEventsOptions): AsyncGenerator<JobEvent, void, undefined>;
  /** Resolves to the finished job, whatever its end. */
  waitForJob(id: string, options?: { readonly signal?: AbortSignal; readonly onEvent?: (event: JobEvent) => void }): Promise<JobObject>;
  /** A tar as a stream of bytes. */
  downloadAdapter(id: string, options?: { readonly format?: string; readonly signal?: AbortSignal }): Promise<ReadableStream<Uint8Array>>;
  /** Every link of the job's chain as the server finds it; returns the verdict. */
  verifyJob(id: string, options?: { readonly signal?: AbortSignal }): AsyncGenerator<VerificationLink, Verification, void>;
  listModels(): Promise<ListOf<ModelObject>>;
}

const pageOf = ({ after, limit }: PageOptions = {}) => ({
  ...(after === undefined ? {} : { after }),
  ...(limit === undefined ? {} : { limit }),
});
const metricsPage = 10_000;

async function bodyOf(response: Response): Promise<ReadableStream<Uint8Array>> {
  const { body } = await requireOk(response);
  if (body === null) throw new Error('the answer has no body');
  return body;
}

export function createRowsmithClient(options: RowsmithClientOptions): RowsmithClient {
  const baseUrl = options.baseUrl.replace(/\/+$/, '');
  const fetchImpl = options.fetch ?? globalThis.fetch;
  const http = makeHttp(baseUrl, options.apiKey, fetchImpl);
  const api = createClient<paths>({
    baseUrl,
    fetch: (request) => fetchImpl(request),
    headers: options.apiKey === null ? {} : { authorization: `Bearer ${options.apiKey}` },
  });
  // Typed by contracts, from which the document is made: openapi-fetch turns tuples of an answer into plain arrays.
  const unwrap = <T>(result: { readonly data?: unknown; readonly error?: unknown; readonly response: Response }): T => {
    if (result.data === undefined) throw apiError(result.response, result.error);
    return result.data as T;
  };
  const path = (id: string) => ({ path: { id } });
  const getJob = async (id: string): Promise<JobObject> => unwrap(await api.GET('/v1/fine_tuning/jobs/{id}', { params: path(id) }));

  return {
    api,
    uploadFile: (source, upload) => uploadFile(http, source, upload),
    listFiles: async (page) => unwrap(await api.GET('/v1/files', { params: { query: pageOf(page) } })),
    getFile: async (id) => unwrap(await api.GET('/v1/files/{id}', { params: path(id) })),
    deleteFile: async (id) => {
      unwrap(await api.DELETE('/v1/files/{id}', { params: path(id) }));
    },
    fileContent: async (id) => bodyOf(await http.fetch(`/v1/files/${encodeURIComponent(id)}/content`)),
    createJob: async (body, { idempotencyKey } = {}) =>
      unwrap(
        await api.POST('/v1/fine_tuning/jobs', {
          body,
          params: { header: idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey } },
        }),
      ),
    getJob,
    listJobs: async (page) => unwrap(await api.GET('/v1/fine_tuning/jobs', { params: { query: pageOf(page) } })),
    cancelJob: async (id) => unwrap(await api.POST('/v1/fine_tuning/jobs/{id}/cancel', { params: path(id) })),
    checkpoints: async (id, page) =>
      unwrap(await api.GET('/v1/fine_tuning/jobs/{id}/checkpoints', { params: { ...path(id), query: pageOf(page) } })),
    async metrics(id, { afterStep = -1 } = {}) {
      const points: MetricPoint[] = [];
      for (;;) {
        const query = new URLSearchParams({
          after_step: String(points.at(-1)?.step ?? afterStep),
          limit: String(metricsPage),
          format: 'json',
        });
        const response = await requireOk(await http.fetch(`/v1/fine_tuning/jobs/${encodeURIComponent(id)}/metrics?${query}`));
        const page = (await response.json()) as ListOf<MetricPoint>;
        points.push(...page.data);
        if (!page.has_more) return points;
      }
    },
    streamEvents: (id, stream) => streamEvents(http, id, stream),
    async waitForJob(id, { signal, onEvent } = {}) {
      for await (const event of streamEvents(http, id, signal ? { signal } : {})) onEvent?.(event);
      return getJob(id);
    },
    downloadAdapter: async (id, { format = 'peft', signal } = {}) =>
      bodyOf(
        await http.fetch(
          `/v1/fine_tuning/jobs/${encodeURIComponent(id)}/adapter?format=${encodeURIComponent(format)}`,
          signal ? { signal } : {},
        ),
      ),
    verifyJob: (id, verify) => verifyJob(http, id, verify),
    listModels: async () => unwrap(await api.GET('/v1/models')),
  };
}
