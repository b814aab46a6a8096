import { createHash, randomBytes } from 'node:crypto';
import { mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { PackedModelIndex } from '@rowsmith/contracts';
import { canonicalJson } from '@rowsmith/contracts';
import { ModelError } from '../errors.js';
import type { ImportedModel } from '../imported-model.js';
import { checkModelId, exists, publish, readIndex, recover, temporaryPrefix } from './model-store.js';
import { fileSha256 } from './open-packed.js';
import { type OnProgress, syncFolder, tokenizerSha256, writePacked } from './write-packed.js';

export interface AddOptions {
  readonly store: string;
  /** Default: made of the source's name, e.g. `SmolLM2-135M-Instruct.Q4_1.gguf` gives `smollm2-135m-instruct`. */
  readonly id?: string | undefined;
  /** Allows another model under an id that is in use; jobs and adapters of the old one then no longer find their base. */
  readonly replace?: boolean;
  readonly onProgress?: OnProgress;
  /** Unix seconds, for `created_at`. */
  readonly now: () => number;
}
export interface Added {
  readonly index: PackedModelIndex;
  readonly dir: string;
  /** present: the same model was there already and nothing was written. */
  readonly outcome: 'added' | 'present' | 'replaced';
}

/** Packs an opened model into the store and closes it. A kill at any moment leaves either nothing visible or the whole model. */
export async function addImported(model: ImportedModel, options: AddOptions): Promise<Added> {
  try {
    const id = checkModelId(options.id ?? defaultModelId(model.name));
    const onProgress = options.onProgress ?? (() => {});
    await recover(options.store);
    const sourceSha256 = await hashSource(model, onProgress);
    const dir = join(options.store, id);
    const there = (await exists(dir)) ? await readIndex(dir).catch(() => null) : null;
    if (there && sameModel(there, model, sourceSha256)) return { index: there, dir, outcome: 'present' };
    const replaced = await exists(dir);
    if (replaced && !options.replace) throw inUse(id, there);

    const fresh = join(options.store, `${temporaryPrefix}${process.pid}-${randomBytes(6).toString('hex')}`);
    await mkdir(fresh);
    try {
      const index = await writePacked(fresh, id, model, sourceSha256, options.now(), onProgress);
      if (!(await publish(options.store, id, fresh, options.replace ?? false))) {
        const winner = await readIndex(dir);
        if (sameModel(winner, model, sourceSha256)) return { index: winner, dir, outcome: 'present' };
        throw inUse(id, winner);
      }
      await syncFolder(options.store);
      return { index, dir, outcome: replaced ? 'replaced' : 'added' };
    } finally {
      await rm(fresh, { recursive: true, force: true });
    }
  } catch (error) {
    throw asModelError(error);
  } finally {
    await model.tensors.close();
  }
}

function inUse(id: string, there: PackedModelIndex | null): ModelError {
  const what = there
    ? `another model (${there.source.name}, base ${there.base_sha256.slice(0, 12)})`
    : 'a folder that is not a readable model';
  return new ModelError('id_in_use', `id ${id} already names ${what}; choose another --id, or --replace it`);
}

/** Same weights, same reading of the config, same tokenizer. */
function sameModel(there: PackedModelIndex, model: ImportedModel, sourceSha256: string): boolean {
  return (
    there.source.sha256 === sourceSha256 &&
    canonicalJson(there.config) === canonicalJson(model.config) &&
    there.tokenizer_sha256 === tokenizerSha256(model.documents)
  );
}

/** One file: its SHA-256. Several: SHA-256 over `<hash>  <name>` lines in name order. */
async function hashSource(model: ImportedModel, onProgress: OnProgress): Promise<string> {
  const files = [...model.weightFiles].sort((a, b) => (a.label < b.label ? -1 : 1));
  let total = 0;
  for (const { path } of files) total += (await stat(path)).size;
  let done = 0;
  const lines: string[] = [];
  for (const { label, path } of files) {
    const hash = await fileSha256(path, (bytes) => {
      done += bytes;
      onProgress({ phase: 'hashing', done, total });
    });
    if (files.length === 1) return hash;
    lines.push(`${hash}  ${label}\n`);
  }
  return createHash('sha256').update(lines.join('')).digest('hex');
}

/** Last part of a hub id, base name of a folder or file; extension and quantisation suffix dropped; lower case. */
export function defaultModelId(name: string): string {
  const last = name.split('/').pop() ?? name;
  const stem = last.replace(/(?:-\d{5}-of-\d{5})?\.gguf$/i, '').replace(/[.-](?:I?Q\d\w*|B?F16|F32)$/i, '');
  return stem
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+/, '');
}

/** File-system faults become ModelError `disk`; everything else passes. */
export function asModelError(error: unknown): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  if (error instanceof ModelError || typeof code !== 'string' || !/^E[A-Z]+$/.test(code)) return error;
  return new ModelError('disk', code === 'ENOSPC' ? 'the disk is full' : message, { cause: error });
}
