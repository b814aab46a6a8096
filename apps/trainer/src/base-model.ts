import { open, readFile, rename, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { canonicalJson } from '@rowsmith/contracts';
import type { LinearInfo } from '@rowsmith/engine';
import { openPackedModel, type PackedModel } from '@rowsmith/hf';
import { TrainerError } from './trainer-error.js';

const recordName = '.verified.json';
/** Of a matrix in memory while its columns are read. */
const maxBlockFloats = 2 ** 22;
const verifiedFiles = ['weights.bin', 'tokenizer.json', 'tokenizer_config.json', 'index.json'];

/**
 * Opens the packed base model of a job and makes sure that it is the one the job was created for, every byte of it. Hashing the weights costs a second
 * per gigabyte, so what was hashed once is remembered beside it (size, times and inode of the files); a folder that cannot be written is hashed each time.
 * Throws ModelError, or TrainerError (precheck) `base_model_changed`.
 */
export async function openBaseModel(dir: string, baseSha256: string): Promise<PackedModel> {
  const packed = await openPackedModel(dir);
  if (packed.index.base_sha256 !== baseSha256) {
    throw new TrainerError(
      'precheck',
      'base_model_changed',
      `the base model ${packed.index.id} is another one than when the job was created (${packed.index.base_sha256}, the job has ${baseSha256})`,
      'model',
    );
  }
  const seen = await fingerprint(dir);
  const known = await readFile(join(dir, recordName), 'utf8').catch(() => '');
  if (known !== seen) {
    await packed.verify();
    await remember(dir, seen);
  }
  return packed;
}

/** ctime cannot be set back by a program that changes a file and restores its mtime. */
async function fingerprint(dir: string): Promise<string> {
  const files: Record<string, readonly string[]> = {};
  for (const name of verifiedFiles) {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(join(dir, name), { bigint: true });
    files[name] = [dev, ino, size, mtimeNs, ctimeNs].map(String);
  }
  return canonicalJson({ format: 1, files });
}

async function remember(dir: string, seen: string): Promise<void> {
  const temporary = join(dir, `.verified-${process.pid}.tmp`);
  try {
    await writeFile(temporary, seen, { flag: 'wx' });
    await rename(temporary, join(dir, recordName));
  } catch {
    // Read-only or full: the next attempt hashes again.
    await unlink(temporary).catch(() => undefined);
  }
}

/** Bias of a linear, likewise: [out] f32. */
export async function readPackedBias(packed: PackedModel, linear: LinearInfo): Promise<Float32Array> {
  const { name, bias, rowOffset, outFeatures } = linear;
  if (!bias) throw new TrainerError('infra', 'corrupt_model', `${name} has no bias`);
  // One row of a matrix of one row.
  const row = { ...linear, tensor: bias, rowOffset: 0, inFeatures: rowOffset + outFeatures };
  return (await readPackedRows(packed, row, Int32Array.of(0))).subarray(rowOffset);
}

/** Columns of a linear, transposed, likewise: [c, out] f32. Reads its rows in blocks, since a file has no columns. */
export async function readPackedColumns(packed: PackedModel, linear: LinearInfo, columns: Int32Array): Promise<Float32Array> {
  const { outFeatures, inFeatures } = linear;
  const values = new Float32Array(columns.length * outFeatures);
  const block = Math.max(1, Math.floor(maxBlockFloats / inFeatures));
  for (let start = 0; start < outFeatures; start += block) {
    const count = Math.min(block, outFeatures - start);
    const rows = await readPackedRows(
      packed,
      linear,
      Int32Array.from({ length: count }, (_, i) => start + i),
    );
    columns.forEach((column, l) => {
      for (let i = 0; i < count; i++) values[l * outFeatures + start + i] = rows[i * inFeatures + column] as number;
    });
  }
  return values;
}

/** Rows of a linear straight from the packed file, past the engine: the other witness when an export is verified. [r, in] f32. */
export async function readPackedRows(packed: PackedModel, linear: LinearInfo, indices: Int32Array): Promise<Float32Array> {
  const tensor = packed.index.tensors[linear.tensor];
  if (!tensor) throw new TrainerError('infra', 'corrupt_model', `the packed model has no tensor ${linear.tensor}`);
  const rowBytes = linear.inFeatures * 4;
  const bytes = Buffer.alloc(indices.length * rowBytes);
  const file = await open(packed.weightsPath, 'r');
  try {
    for (const [k, row] of indices.entries()) {
      const { bytesRead } = await file.read(bytes, k * rowBytes, rowBytes, tensor.offset + (linear.rowOffset + row) * rowBytes);
      if (bytesRead !== rowBytes) throw new TrainerError('infra', 'corrupt_model', `${packed.weightsPath} ended early`);
    }
  } finally {
    await file.close();
  }
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}
