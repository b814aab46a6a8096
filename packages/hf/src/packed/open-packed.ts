import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PackedModelIndex } from '@rowsmith/contracts';
import { ByteSource } from '../byte-source.js';
import { ModelError, quoted } from '../errors.js';
import { readIndex } from './model-store.js';
import { baseSha256, tokenizerSha256 } from './write-packed.js';

/** An opened packed model. Nothing is held open between calls. */
export interface PackedModel {
  readonly dir: string;
  readonly index: PackedModelIndex;
  readonly weightsPath: string;
  /** The whole tensor, row-major, f32, the caller's own copy. */
  readTensor(name: string): Promise<Float32Array>;
  /** Hashes weights and tokenizer files again; throws `corrupt_model` where a hash is not the pinned one. Costs one read of the file. */
  verify(): Promise<void>;
}

/**
 * Opens the folder of a packed model. Checks the index: offsets inside the file, aligned, not overlapping; file size; the binding of
 * base_sha256. The bytes of the weights are only checked by verify().
 */
export async function openPackedModel(dir: string): Promise<PackedModel> {
  const index = await readIndex(dir);
  const weightsPath = join(dir, 'weights.bin');
  const corrupt = (message: string) => new ModelError('corrupt_model', `${message}; add the model again with --replace`, { file: dir });
  const weights = await ByteSource.open(weightsPath, weightsPath);
  await weights.close();
  if (weights.size !== index.weights_bytes) throw corrupt(`weights.bin has ${weights.size} bytes, the index says ${index.weights_bytes}`);
  let end = 0;
  for (const [name, { offset, shape }] of Object.entries(index.tensors).sort(([, a], [, b]) => a.offset - b.offset)) {
    const bytes = 4 * shape.reduce((a, b) => a * b, 1);
    if (offset % index.alignment !== 0 || offset < end || offset + bytes > index.weights_bytes)
      throw corrupt(`index: tensor ${quoted(name)} is misplaced`);
    end = offset + bytes;
  }
  if (baseSha256(index.config, index.weights_sha256) !== index.base_sha256)
    throw corrupt('index: base_sha256 does not belong to config and weights');

  return {
    dir,
    index,
    weightsPath,
    async readTensor(name) {
      const tensor = Object.hasOwn(index.tensors, name) ? index.tensors[name] : undefined;
      if (!tensor) throw new ModelError('corrupt_model', `has no tensor ${quoted(name)}`, { file: dir });
      const elements = tensor.shape.reduce((a, b) => a * b, 1);
      const source = await ByteSource.open(weightsPath, weightsPath);
      try {
        const bytes = await source.read(tensor.offset, 4 * elements);
        return new Float32Array(bytes.buffer, bytes.byteOffset, elements);
      } finally {
        await source.close();
      }
    },
    async verify() {
      const found = await fileSha256(weightsPath);
      if (found !== index.weights_sha256) throw corrupt(`weights.bin has SHA-256 ${found}, pinned is ${index.weights_sha256}`);
      const read = (name: string) => readFile(join(dir, name), 'utf8');
      const tokenizer = tokenizerSha256({
        'config.json': '',
        'tokenizer.json': await read('tokenizer.json'),
        'tokenizer_config.json': await read('tokenizer_config.json'),
      });
      if (tokenizer !== index.tokenizer_sha256)
        throw corrupt(`tokenizer files have SHA-256 ${tokenizer}, pinned is ${index.tokenizer_sha256}`);
    },
  };
}

/** Streams; `onBytes` hears of each chunk. */
export async function fileSha256(path: string, onBytes: (bytes: number) => void = () => {}): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) {
    hash.update(chunk as Buffer);
    onBytes((chunk as Buffer).length);
  }
  return hash.digest('hex');
}
