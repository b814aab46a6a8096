/** What jobs leave: metrics, checkpoints, scores, adapters, and the proof of where they come from. */
import type { JobCheckpoint, MetricPoint, ScoresSummary, Verification, VerificationLink } from '@rowsmith/contracts';
import { requireOk } from './api-error.js';
import { type Abortable, bodyOf, type Calls, jobPath, type ListOf, type PageOptions, pageOf, path, unwrap } from './calls.js';
import { verifyJob } from './verify-job.js';

export interface JobResultMethods {
  /** Newest first. */
  checkpoints(id: string, page?: PageOptions): Promise<ListOf<JobCheckpoint>>;
  /** All points, by step. */
  metrics(id: string, options?: { readonly afterStep?: number }): Promise<readonly MetricPoint[]>;
  /** All points as CSV text, or as an event file that TensorBoard reads. */
  metricsFile(id: string, format: 'csv' | 'tensorboard', options?: Abortable): Promise<ReadableStream<Uint8Array>>;
  /** What the scores of the job's rows depend on, with mean and largest of each linear. */
  scores(id: string): Promise<ScoresSummary>;
  /** safetensors: of each linear `<name>.rows` F32 [out] and `<name>.columns` F32 [in]. */
  scoresFile(id: string, options?: Abortable): Promise<ReadableStream<Uint8Array>>;
  /** A tar as a stream of bytes. `checkpoint`: the adapter as it was then, of a job in any state. */
  downloadAdapter(
    id: string,
    options?: Abortable & { readonly format?: string; readonly checkpoint?: string | undefined },
  ): Promise<ReadableStream<Uint8Array>>;
  /** One file of the adapter, e.g. `adapter_model.safetensors`. */
  adapterFile(id: string, file: string, options?: Abortable & { readonly format?: string }): Promise<ReadableStream<Uint8Array>>;
  /** Every link of the job's chain as the server finds it; returns the verdict. */
  verifyJob(id: string, options?: Abortable): AsyncGenerator<VerificationLink, Verification, void>;
}

const metricsPage = 10_000;

export function jobResultMethods({ api, http }: Calls): JobResultMethods {
  const stream = async (id: string, rest: string, { signal }: Abortable = {}) =>
    bodyOf(await http.fetch(jobPath(id, rest), signal ? { signal } : {}));
  const formatOf = ({ format = 'peft' }: { readonly format?: string } = {}) => `format=${encodeURIComponent(format)}`;
  return {
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
        const response = await requireOk(await http.fetch(jobPath(id, `metrics?${query}`)));
        const page = (await response.json()) as ListOf<MetricPoint>;
        points.push(...page.data);
        if (!page.has_more) return points;
      }
    },
    metricsFile: (id, format, options) => stream(id, `metrics?format=${format}`, options),
    async scores(id) {
      const response = await requireOk(await http.fetch(jobPath(id, 'scores?format=json')));
      return (await response.json()) as ScoresSummary;
    },
    scoresFile: (id, options) => stream(id, 'scores?format=safetensors', options),
    downloadAdapter(id, options) {
      const at = options?.checkpoint === undefined ? '' : `&checkpoint=${encodeURIComponent(options.checkpoint)}`;
      return stream(id, `adapter?${formatOf(options)}${at}`, options);
    },
    adapterFile: (id, file, options) => stream(id, `adapter/${encodeURIComponent(file)}?${formatOf(options)}`, options),
    verifyJob: (id, verify) => verifyJob(http, id, verify),
  };
}
