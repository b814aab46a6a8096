import { type AdapterManifest, type CheckpointManifest, canonicalJson, type PackedModelIndex } from '@rowsmith/contracts';

/** The manifest without where and by which attempt the files were stored: travels inside the adapter's folder. */
export type AdapterDescription = Omit<AdapterManifest, 'files'>;
export const descriptionName = 'rowsmith.json';

/** What is known of rows that are still in training: nobody has compared them with a trained model, so there is no `verification`. */
export interface CheckpointDescription
  extends Pick<CheckpointManifest, 'job_id' | 'base_sha256' | 'config_sha256' | 'data_sha256' | 'step' | 'metrics'>,
    Pick<AdapterManifest, 'base_model' | 'base_precision'> {
  readonly format: 'rowsmith-checkpoint-rows/1';
  readonly checkpoint_id: string;
  /** Of its manifest. */
  readonly checkpoint_sha256: string;
}

/** Bytes of `rowsmith.json`, beside PEFT's files: what PEFT's own configuration has no field for. The same for every attempt of a job. */
export function describeAdapter(description: AdapterDescription | CheckpointDescription): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(JSON.parse(canonicalJson(description)), null, 2)}\n`);
}

/** How an adapter names its base: the hub's id and commit where it came from there, else the service's id of it. */
export const baseReference = (
  source: PackedModelIndex['source'],
  id: string,
): { readonly baseModel: string; readonly revision: string | null } =>
  source.kind === 'hub' ? { baseModel: source.name, revision: source.revision } : { baseModel: id, revision: null };
