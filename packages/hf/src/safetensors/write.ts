import { open } from 'node:fs/promises';
import { ModelError, quoted } from '../errors.js';

export interface TensorToWrite {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array;
}

/**
 * One safetensors file as bytes. Deterministic: tensors by name, metadata by key, header padded with spaces to 8 bytes, so equal content is
 * equal bytes. Dtypes: Float32Array is F32, Int32Array I32. Names and metadata keys must not look like array indices (JavaScript reorders those).
 */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, TensorToWrite>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const names = [...tensors.keys()].sort();
  const header: Record<string, unknown> = {};
  const keys = Object.keys(metadata).sort();
  if (keys.length > 0) header['__metadata__'] = Object.fromEntries(keys.map((key) => [key, metadata[key]]));
  let offset = 0;
  for (const name of names) {
    const { shape, data } = tensors.get(name) as TensorToWrite;
    if (name === '__metadata__' || name === '__proto__' || /^\d+$/.test(name))
      throw new ModelError('bad_safetensors', `${quoted(name)} cannot be a tensor name`);
    if (shape.reduce((a, b) => a * b, 1) !== data.length) {
      throw new ModelError('bad_safetensors', `tensor ${quoted(name)}: shape [${shape}] does not hold ${data.length} elements`);
    }
    header[name] = {
      dtype: data instanceof Float32Array ? 'F32' : 'I32',
      shape: [...shape],
      data_offsets: [offset, offset + data.byteLength],
    };
    offset += data.byteLength;
  }
  let json = Buffer.from(JSON.stringify(header));
  json = Buffer.concat([json, Buffer.alloc((8 - (json.length % 8)) % 8, ' ')]);
  const bytes = new Uint8Array(8 + json.length + offset);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  let at = 8 + json.length;
  for (const name of names) {
    const { data } = tensors.get(name) as TensorToWrite;
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
}

/** Writes and fsyncs a new file; fails when `path` exists. Rename it into place when the folder is complete. */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, TensorToWrite>,
  metadata?: Readonly<Record<string, string>>,
): Promise<void> {
  const file = await open(path, 'wx');
  try {
    await file.writeFile(encodeSafetensors(tensors, metadata));
    await file.sync();
  } finally {
    await file.close();
  }
}
