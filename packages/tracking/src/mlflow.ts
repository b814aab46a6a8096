import type { MetricPoint } from '@rowsmith/contracts';
import { requestJson } from './request-json.js';
import { type RunDescription, type RunEnd, type TrackedRun, TrackingError } from './run.js';
import { scalarsOf } from './scalars.js';

export interface MlflowServer {
  /** e.g. `http://mlflow:5000`. */
  readonly url: string;
  readonly token: string | null;
}

/** MLflow takes 1000 metrics and 100 parameters a request, and parameters of 6000 characters. */
const maxMetrics = 1000;
const maxParams = 100;
const maxParamLength = 6000;
const ends: Readonly<Record<RunEnd, string>> = { succeeded: 'FINISHED', failed: 'FAILED', cancelled: 'KILLED' };

interface Run {
  readonly info: { readonly run_id: string; readonly experiment_id: string };
}

/** MLflow's REST API 2.0. A run is found again by its tag `rowsmith.job_id`, so a start that was cut off is not repeated as a second run. */
export class Mlflow {
  constructor(private readonly server: MlflowServer) {}

  async start(experiment: string, run: RunDescription): Promise<TrackedRun> {
    const experimentId = await this.#experiment(experiment);
    const known = await this.#find(experimentId, run.jobId);
    if (known !== null) return this.#run(experimentId, known);
    const tags = [
      { key: 'rowsmith.job_id', value: run.jobId },
      { key: 'mlflow.source.name', value: 'rowsmith' },
      ...run.tags.map((tag) => ({ key: `rowsmith.tag.${tag}`, value: 'true' })),
    ];
    const body = { experiment_id: experimentId, run_name: run.name, start_time: run.startedAt, tags };
    const made = (await this.#post('runs/create', body)) as { run: Run };
    const runId = made.run.info.run_id;
    const params = flatten(run.config);
    for (let first = 0; first < params.length; first += maxParams)
      await this.#post('runs/log-batch', { run_id: runId, params: params.slice(first, first + maxParams) });
    return this.#run(experimentId, runId);
  }

  attach(handle: string): TrackedRun {
    const [experimentId = '', runId = ''] = handle.split('/');
    return this.#run(experimentId, runId);
  }

  #run(experimentId: string, runId: string): TrackedRun {
    return {
      handle: `${experimentId}/${runId}`,
      url: `${this.server.url}/#/experiments/${experimentId}/runs/${runId}`,
      log: async (points: readonly MetricPoint[], _offset, at) => {
        const metrics = points.flatMap((point) =>
          scalarsOf(point).map(({ name, value }) => ({ key: name, value, timestamp: at, step: point.step })),
        );
        for (let first = 0; first < metrics.length; first += maxMetrics)
          await this.#post('runs/log-batch', { run_id: runId, metrics: metrics.slice(first, first + maxMetrics) });
      },
      finish: async (end, at) => {
        await this.#post('runs/update', { run_id: runId, status: ends[end], end_time: at });
      },
    };
  }

  async #experiment(name: string): Promise<string> {
    const find = async () => {
      const answer = await this.#send('GET', `experiments/get-by-name?experiment_name=${encodeURIComponent(name)}`);
      return (answer as { experiment: { experiment_id: string } }).experiment.experiment_id;
    };
    try {
      return await find();
    } catch (error) {
      if (!(error instanceof TrackingError) || !/RESOURCE_DOES_NOT_EXIST/.test(error.message)) throw error;
    }
    try {
      return ((await this.#post('experiments/create', { name })) as { experiment_id: string }).experiment_id;
    } catch (error) {
      // Another job was first.
      if (error instanceof TrackingError && /RESOURCE_ALREADY_EXISTS/.test(error.message)) return find();
      throw error;
    }
  }

  async #find(experimentId: string, jobId: string): Promise<string | null> {
    const body = { experiment_ids: [experimentId], filter: `tags."rowsmith.job_id" = '${jobId}'`, max_results: 1 };
    const { runs = [] } = (await this.#post('runs/search', body)) as { runs?: Run[] };
    return runs[0]?.info.run_id ?? null;
  }

  #post(path: string, body: object): Promise<unknown> {
    return this.#send('POST', path, body);
  }

  #send(method: 'GET' | 'POST', path: string, body?: object): Promise<unknown> {
    const headers = this.server.token === null ? {} : { authorization: `Bearer ${this.server.token}` };
    return requestJson('MLflow', `${this.server.url}/api/2.0/mlflow/${path}`, { method, headers, ...(body === undefined ? {} : { body }) });
  }
}

/** `{a: {b: 1}}` to `a.b` = `1`; what is longer than MLflow takes is cut. */
function flatten(config: Readonly<Record<string, unknown>>, prefix = ''): { key: string; value: string }[] {
  return Object.entries(config).flatMap(([name, value]) => {
    const key = `${prefix}${name}`;
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return flatten(value as Record<string, unknown>, `${key}.`);
    return [{ key, value: (typeof value === 'string' ? value : JSON.stringify(value)).slice(0, maxParamLength) }];
  });
}
