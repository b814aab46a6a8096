import { CheckpointManifest, canonicalJson, configIdentity, type JobSpec, parseAs } from '@rowsmith/contracts';
import type { Engine, TrainableModel } from '@rowsmith/engine';
import { sha256Of } from './object-files.js';

/** What a checkpoint must belong to. */
export interface Binding {
  readonly job_id: string;
  readonly config_sha256: string;
  readonly base_sha256: string;
  readonly data_sha256: string;
  /** Going on with other operators would end with other bytes. */
  readonly operators: Engine['operators']['kind'] | 'graph';
}

/** What rounds otherwise than another: the operators that are called one by one, or graphs. */
export const operatorsOf = (engine: Engine, model: TrainableModel): Binding['operators'] =>
  model.execution === 'graph' ? 'graph' : engine.operators.kind;

/** `configSha256`: of the specification as it is stored, where that is not the one at hand. */
export function bindingOf(spec: JobSpec, dataSha256: string, operators: Binding['operators'], configSha256?: string): Binding {
  return {
    job_id: spec.job_id,
    config_sha256: configSha256 ?? sha256Of(canonicalJson(configIdentity(spec))),
    base_sha256: spec.base_sha256,
    data_sha256: dataSha256,
    operators,
  };
}

export const manifestName = 'manifest.json';
export const optimizerName = 'optimizer.safetensors';
/** A manifest names three files and a few numbers; anything near this size is not one. */
export const maxManifestBytes = 1024 * 1024;

export const encodeManifest = (manifest: unknown): Uint8Array => new TextEncoder().encode(canonicalJson(manifest));

/** Why a checkpoint cannot be used. foreign: it is whole, and belongs to another job or another kind of operators. */
export interface Unusable {
  readonly reason: string;
  readonly foreign?: true;
}

/** Parses a manifest and returns it, or says why it cannot be used for this job. */
export function readManifest(bytes: Uint8Array, sha256: string, binding: Binding): CheckpointManifest | Unusable {
  if (sha256Of(bytes) !== sha256) return { reason: 'its manifest is damaged' };
  let manifest: CheckpointManifest;
  try {
    manifest = parseAs(CheckpointManifest, JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)), 'checkpoint manifest');
  } catch (error) {
    return { reason: error instanceof Error ? error.message : 'its manifest cannot be read' };
  }
  for (const name of ['job_id', 'config_sha256', 'base_sha256', 'data_sha256'] as const)
    if (manifest[name] !== binding[name])
      return { reason: `its ${name} is ${manifest[name]}, the job's is ${binding[name]}`, foreign: true };
  if (manifest.operators !== undefined && manifest.operators !== binding.operators)
    return { reason: `it was computed by ${manifest.operators} operators, here they are ${binding.operators}`, foreign: true };
  return manifest;
}
