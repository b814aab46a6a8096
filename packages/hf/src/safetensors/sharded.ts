import { join } from 'node:path';
import { ModelError, quoted } from '../errors.js';
import type { TensorInfo, TensorSource } from '../tensor-source.js';
import { openSafetensors, type SafetensorsFile } from './read.js';

const maxShards = 1000;

/** Names of the shard files of a `model.safetensors.index.json`. A name with a path in it is refused: an index never points out of its folder. */
export function shardNames(
  weightMap: unknown,
  file: string,
): { readonly shards: readonly string[]; readonly shardOf: ReadonlyMap<string, string> } {
  const refuse = (message: string) => new ModelError('bad_safetensors', message, { file });
  if (typeof weightMap !== 'object' || weightMap === null || Array.isArray(weightMap)) throw refuse('weight_map is not an object');
  const shardOf = new Map<string, string>();
  for (const [tensor, shard] of Object.entries(weightMap)) {
    if (typeof shard !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9._-]*\.safetensors$/.test(shard)) {
      throw refuse(
        `weight_map: ${quoted(tensor)} is said to be in ${quoted(String(shard))}, which is not the name of a safetensors file in this folder`,
      );
    }
    shardOf.set(tensor, shard);
  }
  const shards = [...new Set(shardOf.values())].sort();
  if (shards.length === 0 || shards.length > maxShards)
    throw refuse(`weight_map names ${shards.length} files; 1 to ${maxShards} are possible`);
  return { shards, shardOf };
}

/** All shards as one source. Each tensor must be where the index says, and the shards must hold nothing else. */
export async function openSharded(dir: string, index: ReturnType<typeof shardNames>): Promise<TensorSource> {
  const files = new Map<string, SafetensorsFile>();
  const close = async () => {
    for (const file of files.values()) await file.close();
  };
  try {
    const tensors = new Map<string, TensorInfo>();
    for (const shard of index.shards) {
      const file = await openSafetensors(join(dir, shard), shard);
      files.set(shard, file);
      for (const [name, info] of file.tensors) {
        if (index.shardOf.get(name) !== shard) {
          throw new ModelError('bad_safetensors', `holds tensor ${quoted(name)}, which the index does not place there`, { file: shard });
        }
        tensors.set(name, info);
      }
    }
    for (const [name, shard] of index.shardOf) {
      if (!tensors.has(name))
        throw new ModelError('bad_safetensors', `lacks tensor ${quoted(name)}, which the index places there`, { file: shard });
    }
    return {
      tensors,
      readRows: (name, start, count) => {
        const file = files.get(index.shardOf.get(name) ?? '');
        if (!file) throw new ModelError('bad_safetensors', `has no tensor ${quoted(name)}`, { file: dir });
        return file.readRows(name, start, count);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
