/** Objects whose hash is known from elsewhere, checked on the way out. */
import { createHash } from 'node:crypto';
import type { ObjectRef } from '@rowsmith/contracts';
import type { ObjectStore } from '@rowsmith/core';

export class ContentMismatchError extends Error {
  override readonly name = 'ContentMismatchError';
  constructor({ key }: Pick<ObjectRef, 'key'>) {
    super(`stored object ${key} is missing or is not what its manifest says`);
  }
}

/** As they come. Throws ContentMismatchError instead of ending when they were not what the reference says: only an end makes true what came before it. */
export async function* storedBytes(
  objects: Pick<ObjectStore, 'get'>,
  { key, bytes, sha256 }: ObjectRef,
): AsyncGenerator<Uint8Array, void, void> {
  const body = await objects.get(key);
  if (body === null) throw new ContentMismatchError({ key });
  const hash = createHash('sha256');
  let seen = 0;
  for await (const chunk of body) {
    seen += chunk.byteLength;
    if (seen > bytes) throw new ContentMismatchError({ key });
    hash.update(chunk);
    yield chunk;
  }
  if (seen !== bytes || hash.digest('hex') !== sha256) throw new ContentMismatchError({ key });
}
