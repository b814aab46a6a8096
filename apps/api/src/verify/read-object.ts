/** Objects as a verification needs them: hashed now, and read no further than what is expected of them. */
import { createHash } from 'node:crypto';
import type { ObjectStore } from '@rowsmith/core';

type Objects = Pick<ObjectStore, 'get'>;

export interface Hashed {
  readonly sha256: string;
  readonly bytes: number;
}

/** null: there is no such object. Nothing of it is kept in memory. */
export async function hashObject(objects: Objects, key: string): Promise<Hashed | null> {
  const body = await objects.get(key);
  if (body === null) return null;
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of body) {
    hash.update(chunk);
    bytes += chunk.byteLength;
  }
  return { sha256: hash.digest('hex'), bytes };
}

/** A manifest names a few files; anything larger is not one, and is hashed without being kept. */
const maxManifestBytes = 1024 * 1024;

/** With its content, unless that is too large to be a manifest. null: there is no such object. */
export async function readManifestObject(objects: Objects, key: string): Promise<(Hashed & { readonly content: Buffer | null }) | null> {
  const body = await objects.get(key);
  if (body === null) return null;
  const hash = createHash('sha256');
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    hash.update(chunk);
    bytes += chunk.byteLength;
    if (bytes <= maxManifestBytes) parts.push(chunk);
  }
  return { sha256: hash.digest('hex'), bytes, content: bytes <= maxManifestBytes ? Buffer.concat(parts) : null };
}

export const sha256Of = (text: string): string => createHash('sha256').update(text).digest('hex');
