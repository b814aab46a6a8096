/**
 * A stored object read by ranges, whose hash covers it as a whole. It is read once from beginning to end, which proves it and costs no memory but the hashes of
 * its blocks; a range that is read afterwards is compared with these. So nothing is sent of an object that was damaged before, and nothing passes that is
 * damaged meanwhile. Costs: the object is fetched twice, in pieces of `window` the second time.
 */
import { createHash } from 'node:crypto';
import type { ObjectRef } from '@rowsmith/contracts';
import type { ObjectStore } from '@rowsmith/core';
import type { RangeSource } from '@rowsmith/hf';
import { ContentMismatchError, storedBytes } from './stored-bytes.js';

interface Sizes {
  /** What one hash is kept of. */
  readonly block: number;
  /** What one request to the store fetches at least: readers go through a file in order, in small steps. */
  readonly window: number;
}
const usual: Sizes = { block: 2 ** 20, window: 2 ** 23 };

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('base64');

/** Throws ContentMismatchError; so do later reads. */
export async function verifiedSource(
  objects: Pick<ObjectStore, 'get'>,
  ref: ObjectRef,
  file: string,
  sizes: Sizes = usual,
): Promise<RangeSource> {
  const blocks = await blockHashes(objects, ref, sizes.block);
  let held = { start: 0, bytes: Buffer.alloc(0) };
  const load = async (offset: number, length: number) => {
    const start = offset - (offset % sizes.block);
    const least = Math.max(offset + length, start + sizes.window);
    const end = Math.min(ref.bytes, Math.ceil(least / sizes.block) * sizes.block);
    const body = await objects.get(ref.key, { start, end: end - 1 });
    if (body === null) throw new ContentMismatchError(ref);
    const parts: Uint8Array[] = [];
    for await (const part of body) parts.push(part);
    const bytes = Buffer.concat(parts);
    if (bytes.length !== end - start) throw new ContentMismatchError(ref);
    for (let at = 0; at < bytes.length; at += sizes.block)
      if (sha256(bytes.subarray(at, at + sizes.block)) !== blocks[(start + at) / sizes.block]) throw new ContentMismatchError(ref);
    held = { start, bytes };
  };
  return {
    file,
    size: ref.bytes,
    async read(offset, length) {
      if (length === 0) return Buffer.alloc(0);
      if (offset < held.start || offset + length > held.start + held.bytes.length) await load(offset, length);
      return held.bytes.subarray(offset - held.start, offset - held.start + length);
    },
    close: async () => undefined,
  };
}

async function blockHashes(objects: Pick<ObjectStore, 'get'>, ref: ObjectRef, block: number): Promise<readonly string[]> {
  const hashes: string[] = [];
  let hash = createHash('sha256');
  let filled = 0;
  for await (const chunk of storedBytes(objects, ref)) {
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + block - filled);
      hash.update(part);
      at += part.length;
      filled += part.length;
      if (filled < block) continue;
      hashes.push(hash.digest('base64'));
      [hash, filled] = [createHash('sha256'), 0];
    }
  }
  if (filled > 0) hashes.push(hash.digest('base64'));
  return hashes;
}
