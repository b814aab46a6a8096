import type { MetricPoint } from '@rowsmith/contracts';
import { requestJson } from './request-json.js';
import { type RunDescription, type TrackedRun, TrackingError } from './run.js';
import { scalarsOf } from './scalars.js';

export interface WandbServer {
  /** API of W&B or of a compatible server, e.g. `https://api.wandb.ai`. */
  readonly url: string;
  readonly apiKey: string;
}
export interface WandbProject {
  readonly project: string;
  readonly entity: string | null;
}

const upsert = `mutation UpsertBucket($name: String, $project: String, $entity: String, $displayName: String, $config: JSONString, $tags: [String!]) {
  upsertBucket(input: {name: $name, modelName: $project, entityName: $entity, displayName: $displayName, config: $config, tags: $tags}) {
    bucket { name project { name entity { name } } }
  }
}`;

interface UpsertAnswer {
  readonly data?: { readonly upsertBucket?: { readonly bucket?: { name: string; project: { name: string; entity: { name: string } } } } };
  readonly errors?: readonly { readonly message: string }[];
}

/** The two calls of W&B's own client: a GraphQL upsert that makes the run, then lines appended to its history by offset. */
export class Wandb {
  constructor(private readonly server: WandbServer) {}

  /** The run's id is the job's, so a repeated start changes nothing. */
  async start({ project, entity }: WandbProject, run: RunDescription): Promise<TrackedRun> {
    const config = Object.fromEntries(Object.entries(run.config).map(([key, value]) => [key, { value, desc: null }]));
    const variables = {
      ...{ name: run.jobId, project, entity, displayName: run.name, tags: run.tags },
      config: JSON.stringify(config),
    };
    const answer = (await this.#post('/graphql', { query: upsert, variables })) as UpsertAnswer;
    const bucket = answer.data?.upsertBucket?.bucket;
    if (!bucket)
      throw new TrackingError(`W&B made no run: ${answer.errors?.map(({ message }) => message).join('; ') ?? 'no reason given'}`, false);
    return this.attach([bucket.project.entity.name, bucket.project.name, bucket.name].join('/'));
  }

  attach(handle: string): TrackedRun {
    const [entity = '', project = '', run = ''] = handle.split('/');
    const path = `/files/${encodeURIComponent(entity)}/${encodeURIComponent(project)}/${encodeURIComponent(run)}/file_stream`;
    return {
      handle,
      url: `${this.server.url.replace('://api.', '://')}/${handle.replace(/\/([^/]*)$/, '/runs/$1')}`,
      log: async (points: readonly MetricPoint[], offset, at) => {
        const lines = points.map((point) => {
          const values = Object.fromEntries(scalarsOf(point).map(({ name, value }) => [name, value]));
          return { ...values, 'train/global_step': point.step, _step: point.step, _timestamp: at / 1000 };
        });
        const last = lines.at(-1);
        if (last === undefined) return;
        await this.#post(path, {
          files: {
            'wandb-history.jsonl': { offset, content: lines.map((line) => JSON.stringify(line)) },
            'wandb-summary.json': { offset: 0, content: [JSON.stringify(last)] },
          },
        });
      },
      finish: async (end) => {
        await this.#post(path, { complete: true, exitcode: end === 'succeeded' ? 0 : 1 });
      },
    };
  }

  #post(path: string, body: object): Promise<unknown> {
    const headers = { authorization: `Basic ${Buffer.from(`api:${this.server.apiKey}`).toString('base64')}` };
    return requestJson('W&B', `${this.server.url}${path}`, { method: 'POST', headers, body });
  }
}
