import { createHash } from 'node:crypto';
import { type FileHandle, open, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { canonicalJson, type ModelConfig, type PackedModelIndex, packedFormat } from '@rowsmith/contracts';
import { ModelError } from '../errors.js';
import { packedAlignment, packedLayout } from '../families/packed-plan.js';
import { documentNames, type ImportedModel, type TokenizerFileName, tokenizerFileNames } from '../imported-model.js';

export interface Progress {
  readonly phase: 'downloading' | 'hashing' | 'packing' | 'verifying';
  readonly done: number;
  readonly total: number;
}
export type OnProgress = (progress: Progress) => void;

const sha256 = (...parts: (string | Uint8Array)[]) => parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest('hex');

/** What adapters and checkpoints are bound to: SHA-256 of the config's canonical JSON, a newline, and the hex SHA-256 of weights.bin. */
export const baseSha256 = (config: ModelConfig, weightsSha256: string) => sha256(`${canonicalJson(config)}\n${weightsSha256}`);

/** Over tokenizer.json and tokenizer_config.json, each hashed alone, as `<hash>  <name>` lines. */
export function tokenizerSha256(documents: ImportedModel['documents']): string {
  return tokenizerDigest((name) => sha256(documents[name]));
}

/** The same from the hashes of the files. */
export const tokenizerDigest = (hashOf: (name: TokenizerFileName) => string): string =>
  sha256(tokenizerFileNames.map((name) => `${hashOf(name)}  ${name}\n`).join(''));

/** Elements converted at a time: 8 MiB of f32, so that a 7B model needs no more memory than a small one. */
const chunkElements = 2 ** 21;

/**
 * Writes the packed model into the empty folder `dir`, file by file, each fsynced, index.json last.
 * A tensor that holds NaN or infinity is refused (`bad_weights`): training from it cannot work.
 */
export async function writePacked(
  dir: string,
  id: string,
  model: ImportedModel,
  sourceSha256: string,
  createdAt: number,
  onProgress: OnProgress,
) {
  const plan = model.plan();
  const layout = packedLayout(plan);
  await refuseFullDisk(dir, layout.bytes);
  const hash = createHash('sha256');
  let written = 0;
  const file = await open(join(dir, 'weights.bin'), 'wx');
  try {
    const append = async (bytes: Uint8Array) => {
      hash.update(bytes);
      await writeAll(file, bytes);
      written += bytes.length;
      onProgress({ phase: 'packing', done: written, total: layout.bytes });
    };
    for (const tensor of plan) {
      for (const { name, rows, width } of tensor.parts) {
        const step = Math.max(1, Math.floor(chunkElements / width));
        for (let start = 0; start < rows; start += step) {
          const values = await model.tensors.readRows(name, start, Math.min(step, rows - start));
          refuseNonFinite(values, name, model.name);
          await append(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
        }
      }
      const gap = (packedAlignment - (written % packedAlignment)) % packedAlignment;
      if (gap > 0) await append(new Uint8Array(gap));
    }
    await file.sync();
  } finally {
    await file.close();
  }
  for (const name of documentNames) await writeFile(join(dir, name), model.documents[name]);
  const weightsSha256 = hash.digest('hex');
  const index: PackedModelIndex = {
    format: packedFormat,
    id,
    source: { kind: model.kind, name: model.name, revision: model.revision, sha256: sourceSha256 },
    base_sha256: baseSha256(model.config, weightsSha256),
    alignment: packedAlignment,
    weights_bytes: layout.bytes,
    weights_sha256: weightsSha256,
    tokenizer_sha256: tokenizerSha256(model.documents),
    parameters: plan.reduce((sum, t) => sum + t.shape.reduce((a, b) => a * b, 1), 0),
    created_at: createdAt,
    config: model.config,
    tensors: layout.tensors,
  };
  await writeFile(join(dir, 'index.json'), `${JSON.stringify(index, null, 1)}\n`);
  await syncFolder(dir);
  return index;
}

function refuseNonFinite(values: Float32Array, name: string, file: string): void {
  for (let i = 0; i < values.length; i++) {
    // x - x is 0 for finite x, NaN otherwise.
    const x = values[i] as number;
    if (x - x !== 0) throw new ModelError('bad_weights', `tensor ${name} holds ${x}: not a usable model`, { file });
  }
}

async function refuseFullDisk(dir: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(dir);
  const free = bavail * bsize;
  const need = bytes + 64 * 2 ** 20;
  if (free < need) {
    const gib = (n: number) => (n / 2 ** 30).toFixed(1);
    throw new ModelError('disk', `the packed model needs ${gib(need)} GiB, ${gib(free)} GiB are free; make room or choose another --store`);
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  let done = 0;
  while (done < bytes.length) done += (await file.write(bytes, done)).bytesWritten;
}

async function writeFile(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx');
  try {
    await writeAll(file, Buffer.from(text));
    await file.sync();
  } finally {
    await file.close();
  }
}

/** A renamed or created name is only durable once its folder is. */
export async function syncFolder(dir: string): Promise<void> {
  const handle = await open(dir, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
