/** Objects to local files and back, hashed on the way: nothing of an object is used before its SHA-256 was seen to be right. */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { TrainerError } from './trainer-error.js';

/** What a trainer needs of the object store. Keys are '/'-separated; nothing is visible until it is whole. */
export interface Objects {
  get(key: string): Promise<AsyncIterable<Uint8Array> | null>;
  put(key: string, body: Uint8Array): Promise<{ readonly sha256: string; readonly bytes: number }>;
  /** No error when it is not there. */
  delete(key: string): Promise<void>;
}

export interface ExpectedObject {
  readonly key: string;
  readonly sha256: string;
  readonly bytes: number;
}

/** Passes an object's bytes through. Throws TrainerError (infra) `object_missing`, or at its end `object_damaged`. */
export async function* verifiedObject(store: Objects, expected: ExpectedObject): AsyncGenerator<Uint8Array, void, void> {
  const body = await store.get(expected.key);
  if (body === null) throw new TrainerError('infra', 'object_missing', `${expected.key} is not in the object store`);
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of body) {
    hash.update(chunk);
    bytes += chunk.byteLength;
    if (bytes > expected.bytes) break;
    yield chunk;
  }
  const sha256 = hash.digest('hex');
  if (bytes !== expected.bytes || sha256 !== expected.sha256)
    throw new TrainerError(
      'infra',
      'object_damaged',
      `${expected.key} is damaged: ${bytes} bytes, SHA-256 ${sha256}; expected ${expected.bytes}, ${expected.sha256}`,
    );
}

/** Reads an object once for its hash alone. */
export async function verifyObject(store: Objects, expected: ExpectedObject): Promise<void> {
  for await (const _ of verifiedObject(store, expected));
}

/** Downloads into a new file. The file may be there, damaged, when this throws. */
export async function downloadTo(path: string, store: Objects, expected: ExpectedObject): Promise<void> {
  const file = await open(path, 'wx');
  try {
    for await (const chunk of verifiedObject(store, expected)) await file.writeFile(chunk);
  } finally {
    await file.close();
  }
}

/** Uploads and returns what a manifest says of the file. */
export async function upload(store: Objects, folder: string, name: string, bytes: Uint8Array) {
  const key = `${folder}/${name}`;
  const { sha256, bytes: size } = await store.put(key, bytes);
  if (size !== bytes.byteLength)
    throw new TrainerError('infra', 'object_damaged', `${key} was stored with ${size} of ${bytes.byteLength} bytes`);
  return { name, key, sha256, bytes: size };
}

export const sha256Of = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');
