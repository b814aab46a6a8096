import type { Objects } from './object-files.js';

/** A small object whole; cut soon after `maxBytes`, so that a wrong object cannot fill the memory. null: there is none. */
export async function readObject(store: Pick<Objects, 'get'>, key: string, maxBytes: number): Promise<Uint8Array | null> {
  const body = await store.get(key);
  if (body === null) return null;
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of body) {
    bytes += part.byteLength;
    if (bytes > maxBytes) break;
    parts.push(part);
  }
  return Buffer.concat(parts);
}
