import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readRows, rowsFileName } from '@rowsmith/adapter';
import type { CheckpointManifest, CheckpointMetrics, CheckpointState, TrainerStart } from '@rowsmith/contracts';
import type { LinearInfo } from '@rowsmith/engine';
import { openSafetensors } from '@rowsmith/hf';
import { type Binding, maxManifestBytes, optimizerName, readManifest, type Unusable } from './checkpoint-manifest.js';
import { downloadTo, type Objects } from './object-files.js';
import { isDelta, stacksOf } from './row-stacks.js';

type Ref = TrainerStart['resume_from'][number];
export interface Rejected {
  readonly manifest_key: string;
  readonly reason: string;
  /** It will never be usable, by anybody. */
  readonly damaged: boolean;
}
export interface Resumption {
  /** null: none verifies; the job begins at step 0. */
  readonly state: CheckpointState | null;
  readonly from: Ref | null;
  /** Checkpoints before `from`: still good for all that is known, and there to be deleted when enough newer ones are. */
  readonly older: readonly Ref[];
  readonly rejected: readonly Rejected[];
}

/**
 * The newest checkpoint that is whole and belongs to this job, base and data: manifest and files are hashed, then parsed as if a stranger had made them.
 * What is rejected stays where it is, for somebody to look at. Throws only when the object store itself fails.
 * needsBest: the adapter is to be that of the lowest validation loss, so a checkpoint whose best is lost cannot lead to the job's result.
 */
export async function findCheckpoint(
  store: Objects,
  refs: readonly Ref[],
  binding: Binding,
  linears: readonly LinearInfo[],
  workDir: string,
  needsBest = false,
): Promise<Resumption> {
  const rejected: Rejected[] = [];
  for (const [i, ref] of refs.entries()) {
    const dir = join(workDir, `resume-${i}`);
    await mkdir(dir);
    try {
      const found = await readCheckpoint(store, ref, binding, linears, dir);
      const older = refs.slice(i + 1);
      const reason =
        'reason' in found ? found.reason : needsBest && (await bestIsLost(store, found.state, older, binding, linears, workDir));
      if (!('reason' in found) && !reason) return { state: found.state, from: ref, older, rejected };
      const damaged = 'reason' in found && found.foreign !== true;
      rejected.push({ manifest_key: ref.manifest_key, reason: reason || 'it cannot be used', damaged });
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  }
  return { state: null, from: null, older: [], rejected };
}

/** Why the best checkpoint that `state` knows of cannot be read; '' when it can, or when there is none. */
async function bestIsLost(
  store: Objects,
  state: CheckpointState,
  older: readonly Ref[],
  binding: Binding,
  linears: readonly LinearInfo[],
  workDir: string,
): Promise<string> {
  const { best_step: step } = state.cursor;
  if (step === undefined || step === state.step) return '';
  const best = await readAny(store, ofStep(older, step), binding, linears, workDir);
  return 'reason' in best ? `the best checkpoint before it, of step ${step}, cannot be used: ${best.reason}` : '';
}

const ofStep = (refs: readonly Ref[], step: number): readonly Ref[] => refs.filter((ref) => ref.step === step);

/** The first of them that verifies: attempts that repeat a step write the same bytes. */
export async function readAny(
  store: Objects,
  refs: readonly Ref[],
  binding: Binding,
  linears: readonly LinearInfo[],
  workDir: string,
): Promise<Checkpoint | { readonly reason: string }> {
  let reason = 'it is missing';
  for (const ref of refs) {
    const dir = await mkdtemp(join(workDir, 'checkpoint-'));
    try {
      const found = await readCheckpoint(store, ref, binding, linears, dir);
      if (!('reason' in found)) return found;
      reason = found.reason;
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  }
  return { reason };
}

export interface Checkpoint {
  readonly state: CheckpointState;
  readonly metrics: CheckpointMetrics;
}

async function readCheckpoint(
  store: Objects,
  ref: Ref,
  binding: Binding,
  linears: readonly LinearInfo[],
  dir: string,
): Promise<Checkpoint | Unusable> {
  const bytes = await readSmall(store, ref.manifest_key);
  if (bytes === null) return { reason: 'its manifest is missing' };
  const manifest = readManifest(bytes, ref.manifest_sha256, binding);
  if ('reason' in manifest) return manifest;
  try {
    return { state: await readState(store, manifest, linears, dir), metrics: manifest.metrics };
  } catch (error) {
    if (isDamage(error)) return { reason: error instanceof Error ? error.message : String(error) };
    throw error;
  }
}

async function readState(
  store: Objects,
  manifest: CheckpointManifest,
  linears: readonly LinearInfo[],
  dir: string,
): Promise<CheckpointState> {
  for (const name of [rowsFileName, optimizerName]) {
    const file = manifest.files.find((f) => f.name === name);
    if (!file) throw new DamagedError(`its manifest names no ${name}`);
    await downloadTo(join(dir, name), store, file);
  }
  const rows = await readRows(join(dir, rowsFileName), { baseSha256: manifest.base_sha256 });
  const { buffers: deltas, ...selection } = stacksOf(rows, linears);
  const buffers = new Map(deltas);
  const optimizer = await openSafetensors(join(dir, optimizerName));
  try {
    for (const [name, { shape }] of optimizer.tensors) {
      if (isDelta(name)) throw new DamagedError(`${optimizerName} holds ${name}, which belongs into ${rowsFileName}`);
      buffers.set(name, { shape, data: await optimizer.readF32(name) });
    }
  } finally {
    await optimizer.close();
  }
  return { step: manifest.step, buffers, ...selection, cursor: manifest.cursor };
}

async function readSmall(store: Objects, key: string): Promise<Uint8Array | null> {
  const body = await store.get(key);
  if (body === null) return null;
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of body) {
    bytes += part.byteLength;
    if (bytes > maxManifestBytes) break;
    parts.push(part);
  }
  return Buffer.concat(parts);
}

class DamagedError extends Error {
  override readonly name = 'DamagedError';
}

/** Damage of this checkpoint, as opposed to a store or disk that fails: those would fail for the next one as well. */
function isDamage(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return (
    error instanceof DamagedError ||
    ['object_missing', 'object_damaged', 'checkpoint_mismatch', 'bad_rows', 'other_base', 'bad_safetensors', 'unsupported'].includes(
      String(code),
    )
  );
}
