/** Channel scores as a safetensors file with a manifest, under a key that names everything they depend on. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import {
  ContractError,
  canonicalJson,
  type EncodedExample,
  type JobSpec,
  type ObjectRef,
  parseAs,
  ScoresManifest,
} from '@rowsmith/contracts';
import { type ChannelScores, type Engine, type LinearInfo, needsData, type ScoreMatrix } from '@rowsmith/engine';
import { encodeSafetensors, openSafetensors, type TensorToWrite } from '@rowsmith/hf';
import { downloadTo, type Objects, sha256Of, upload } from './object-files.js';
import { readObject } from './read-object.js';

export const scoresFileName = 'scores.safetensors';
export const scoresManifestName = 'manifest.json';
/** Some 300 bytes a linear. */
const maxManifestBytes = 8 * 1024 * 1024;

/** What scores depend on, as their manifest says it. Two jobs with the same have the same scores, to the bit. */
export type ScoresIdentity = Pick<ScoresManifest, 'scorer' | 'seed' | 'base_sha256' | 'data_sha256' | 'operators' | 'options'>;

export interface StoredScores {
  readonly scores: ScoreMatrix;
  readonly manifest: ObjectRef;
}

export function scoresIdentity(spec: JobSpec, examples: readonly EncodedExample[], operators: Engine['operators']['kind']): ScoresIdentity {
  const { row_sparse: asked, hyperparameters } = spec;
  const { scorer, targets, layers, quantization, double_quantization, precision } = asked;
  const data = needsData(scorer);
  const directions = { zo_estimates: asked.zo_estimates, zo_splits: asked.zo_splits, zo_eps: asked.zo_eps };
  return {
    scorer,
    seed: data || scorer === 'random' ? spec.seed : null,
    base_sha256: spec.base_sha256,
    data_sha256: data ? examplesSha256(examples) : null,
    operators,
    options: {
      ...{ targets: [...targets].sort(), layers },
      // Gradients and activations are those of the base as it is held; the weights in a score are always the original ones.
      ...(data && { quantization, double_quantization, batch_size: hyperparameters.batch_size }),
      ...(data && { calibration_batches: asked.calibration_batches }),
      // Absent for f32, as in what builds without the option stored.
      ...(data && precision !== 'f32' && { precision }),
      ...(scorer === 'zo_taylor' && directions),
      ...(data && asked.label_aggregation && { label_aggregation: asked.label_aggregation }),
    },
  };
}

/** Of ids and labels: whatever turned the file into tokens is in it. */
function examplesSha256(examples: readonly EncodedExample[]): string {
  const hash = createHash('sha256');
  for (const { ids, labels, types, label } of examples) {
    hash.update(Int32Array.of(ids.length));
    hash.update(ids);
    hash.update(labels);
    if (types) hash.update(types);
    if (label !== undefined) hash.update(Int32Array.of(label));
  }
  return hash.digest('hex');
}

const folderOf = (identity: ScoresIdentity): string => `scores/${sha256Of(canonicalJson({ format: 'rowsmith-scores/1', ...identity }))}`;

/** The data, then the manifest that makes it exist. Several writers write the same bytes. */
export async function storeScores(store: Objects, identity: ScoresIdentity, scores: ScoreMatrix, batches: number): Promise<ObjectRef> {
  const folder = folderOf(identity);
  const tensors = new Map<string, TensorToWrite>();
  for (const [name, { out, in: columns }] of scores) {
    tensors.set(`${name}.rows`, { shape: [out.length], data: out });
    tensors.set(`${name}.columns`, { shape: [columns.length], data: columns });
  }
  const bytes = encodeSafetensors(tensors, { format: 'rowsmith-scores/1', scorer: identity.scorer, base_sha256: identity.base_sha256 });
  const file = await upload(store, folder, scoresFileName, bytes);
  const { key, sha256, bytes: size } = await upload(store, folder, scoresManifestName, encodeManifest(identity, scores, batches, file));
  return { key, sha256, bytes: size };
}

/**
 * Scores that some job stored for the same identity; null: none, or damaged in any way: score again, and write over them. The manifest is made again
 * from what was read and must be the same bytes.
 */
export async function findScores(
  store: Objects,
  identity: ScoresIdentity,
  linears: readonly LinearInfo[],
  workDir: string,
): Promise<StoredScores | { readonly damage: string } | null> {
  const key = `${folderOf(identity)}/${scoresManifestName}`;
  const bytes = await readObject(store, key, maxManifestBytes);
  if (bytes === null) return null;
  try {
    const manifest = parseAs(ScoresManifest, JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)), 'scores manifest');
    const path = join(workDir, scoresFileName);
    await downloadTo(path, store, manifest.file);
    const scores = await readScores(path, linears);
    if (!Buffer.from(encodeManifest(identity, scores, manifest.batches, manifest.file)).equals(Buffer.from(bytes)))
      return { damage: 'its manifest does not belong to the scores' };
    // As young as new ones, so that nobody collects them before the job's reference stands.
    await store.put(key, bytes);
    return { scores, manifest: { key, sha256: sha256Of(bytes), bytes: bytes.byteLength } };
  } catch (error) {
    // A store that fails would fail for what follows as well; only what it holds may be passed by.
    if (isDamage(error)) return { damage: error instanceof Error ? error.message : String(error) };
    throw error;
  }
}

async function readScores(path: string, linears: readonly LinearInfo[]): Promise<ScoreMatrix> {
  const file = await openSafetensors(path, scoresFileName);
  try {
    const scores = new Map<string, ChannelScores>();
    for (const { name } of linears)
      scores.set(name, { out: await file.readF32(`${name}.rows`), in: await file.readF32(`${name}.columns`) });
    return scores;
  } finally {
    await file.close();
  }
}

function encodeManifest(identity: ScoresIdentity, scores: ScoreMatrix, batches: number, file: ScoresManifest['file']): Uint8Array {
  const modules = Array.from(scores, ([name, { out, in: columns }]) => ({ name, rows: summaryOf(out), columns: summaryOf(columns) }));
  const manifest: ScoresManifest = { format: 'rowsmith-scores/1', ...identity, batches, modules, file };
  return new TextEncoder().encode(canonicalJson(manifest));
}

function summaryOf(scores: Float32Array): ScoresManifest['modules'][number]['rows'] {
  let argmax = 0;
  let sum = 0;
  for (const [i, score] of scores.entries()) {
    sum += score;
    if (score > (scores[argmax] as number)) argmax = i;
  }
  return { channels: scores.length, mean: sum / scores.length, max: scores[argmax] as number, argmax };
}

function isDamage(error: unknown): boolean {
  // What JSON.parse and TextDecoder throw, and a manifest of another shape.
  if (error instanceof SyntaxError || error instanceof TypeError || error instanceof ContractError) return true;
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return ['object_missing', 'object_damaged', 'bad_safetensors', 'unsupported'].includes(String(code));
}
