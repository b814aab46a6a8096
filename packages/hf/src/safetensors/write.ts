import { open } from 'node:fs/promises';
import { ModelError, quoted } from '../errors.js';

export interface TensorToWrite {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array;
}

export interface SafetensorsLayout {
  /** Length and JSON: what stands before the data. */
  readonly header: Uint8Array;
  /** In the order of their data. */
  readonly names: readonly string[];
  /** Of the whole file. */
  readonly bytes: number;
}
/** Both dtypes that are written. */
const elementBytes = 4;

/**
 * Where everything of a file will stand, from the shapes alone. Deterministic: tensors by name, metadata by key, header padded with spaces to 8 bytes, so equal
 * content is equal bytes. Names and metadata keys must not look like array indices (JavaScript reorders those).
 */
export function safetensorsLayout(
  tensors: ReadonlyMap<string, { readonly dtype: 'F32' | 'I32'; readonly shape: readonly number[] }>,
  metadata: Readonly<Record<string, string>> = {},
): SafetensorsLayout {
  const names = [...tensors.keys()].sort();
  const header: Record<string, unknown> = {};
  const keys = Object.keys(metadata).sort();
  if (keys.length > 0) header['__metadata__'] = Object.fromEntries(keys.map((key) => [key, metadata[key]]));
  let offset = 0;
  for (const name of names) {
    const { dtype, shape } = tensors.get(name) as { dtype: string; shape: readonly number[] };
    if (name === '__metadata__' || name === '__proto__' || /^\d+$/.test(name))
      throw new ModelError('bad_safetensors', `${quoted(name)} cannot be a tensor name`);
    const end = offset + elementBytes * shape.reduce((a, b) => a * b, 1);
    header[name] = { dtype, shape: [...shape], data_offsets: [offset, end] };
    offset = end;
  }
  let json = Buffer.from(JSON.stringify(header));
  json = Buffer.concat([Buffer.alloc(8), json, Buffer.alloc((8 - (json.length % 8)) % 8, ' ')]);
  json.writeBigUInt64LE(BigInt(json.length - 8));
  return { header: json, names, bytes: json.length + offset };
}

/** One safetensors file as bytes. Dtypes: Float32Array is F32, Int32Array I32. */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, TensorToWrite>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  for (const [name, { shape, data }] of tensors)
    if (shape.reduce((a, b) => a * b, 1) !== data.length)
      throw new ModelError('bad_safetensors', `tensor ${quoted(name)}: shape [${shape}] does not hold ${data.length} elements`);
  const shapes = Array.from(
    tensors,
    ([name, { shape, data }]) => [name, { dtype: data instanceof Float32Array ? 'F32' : 'I32', shape }] as const,
  );
  const { header, names, bytes: total } = safetensorsLayout(new Map(shapes), metadata);
  const bytes = new Uint8Array(total);
  bytes.set(header);
  let at = header.length;
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
