/** What a trainer leaves of a job: a chain of checkpoints over two attempts, and the adapter at its end. */
import { createHash } from 'node:crypto';
import {
  type AdapterManifest,
  type CheckpointManifest,
  canonicalJson,
  configIdentity,
  dataIdentity,
  type JobSpec,
  type ManifestFile,
} from '@rowsmith/contracts';
import { begin, type WorkerDeps } from './finish-job.js';

export const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');
export const encode = (value: unknown): Buffer => Buffer.from(canonicalJson(value));

export interface Link {
  readonly key: string;
  readonly sha256: string;
  readonly manifest: CheckpointManifest;
}
export interface Chain {
  readonly spec: JobSpec;
  /** By `e<attempt>/<step>`. */
  readonly checkpoints: ReadonlyMap<string, Link>;
  readonly adapter: { readonly key: string; readonly manifest: AdapterManifest };
}
export interface ChainOptions {
  readonly tokenizerSha256: string;
  /** Of the manifests of attempt 2. */
  readonly change?: Partial<CheckpointManifest>;
  readonly cursor?: Readonly<Record<string, number>>;
  /** Content of `rows.safetensors` where it is not `rows <step>`. */
  readonly rows?: Readonly<Record<string, string>>;
}

/** Attempt 1 saves steps 1, 2 and 3; attempt 2 goes on from 2, saves 3 and 4 and makes the adapter. Times of creation ascend. */
export async function leaveChain(deps: WorkerDeps, jobId: string, options: ChainOptions): Promise<Chain> {
  const { attempts, objects } = deps;
  const { job } = await begin(deps, jobId);
  const { spec } = job;
  const binding = {
    job_id: jobId,
    config_sha256: sha256(canonicalJson(configIdentity(spec))),
    base_sha256: spec.base_sha256,
    data_sha256: sha256(canonicalJson(dataIdentity(spec, options.tokenizerSha256))),
  };
  const file = async (folder: string, name: string, content: string): Promise<ManifestFile> => {
    const key = `${folder}/${name}`;
    return { name, key, ...(await objects.put(key, Buffer.from(content))) };
  };
  const checkpoints = new Map<string, Link>();
  const save = async (epoch: number, step: number, previous: string | null) => {
    const folder = `jobs/${jobId}/e${epoch}/checkpoint-${step}`;
    const place = `e${epoch}/${step}`;
    const manifest: CheckpointManifest = {
      format: 'rowsmith-checkpoint/1',
      ...binding,
      ...{ operators: 'fused', threads: 2, epoch, step, previous_sha256: previous, metrics: { step } },
      cursor: { ...options.cursor },
      files: [
        await file(folder, 'rows.safetensors', options.rows?.[place] ?? `rows ${step}`),
        await file(folder, 'optimizer.safetensors', `moments ${step}`),
      ],
      ...(epoch === 2 && options.change),
    };
    const key = `${folder}/manifest.json`;
    const written = await objects.put(key, encode(manifest));
    await attempts.checkpoint(jobId, epoch, { step, manifestKey: key, manifestSha256: written.sha256, metrics: { step } });
    checkpoints.set(place, { key, sha256: written.sha256, manifest });
    return written.sha256;
  };
  const one = await save(1, 1, null);
  const two = await save(1, 2, one);
  await save(1, 3, two);
  await attempts.handback(jobId, 1);
  const { epoch } = await begin(deps, jobId);
  const last = await save(epoch, 4, await save(epoch, 3, two));
  const folder = `jobs/${jobId}/e${epoch}/adapter`;
  const manifest: AdapterManifest = {
    format: 'rowsmith-adapter/1',
    ...binding,
    ...{ base_model: spec.model, checkpoint_sha256: last, step: 4, rank: 1, trainable_parameters: 1 },
    verification: { max_abs_error: 0, modules: 1 },
    files: [await file(folder, 'adapter_model.safetensors', 'weights'), await file(folder, 'rows.safetensors', 'rows 4')],
  };
  const key = `${folder}/manifest.json`;
  const written = await objects.put(key, encode(manifest));
  const adapter = { adapterManifestKey: key, adapterManifestSha256: written.sha256 };
  await attempts.succeed(jobId, epoch, { step: 4, trainedTokens: 64, ...adapter, fineTunedModel: `ft:${jobId}` });
  return { spec, checkpoints, adapter: { key, manifest } };
}
