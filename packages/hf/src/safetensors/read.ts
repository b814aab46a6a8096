import { basename } from 'node:path';
import { ByteSource, type RangeSource } from '../byte-source.js';
import { ModelError, quoted } from '../errors.js';
import { decodeBf16, decodeF16, decodeF32 } from '../half-floats.js';
import { rowWidth, type TensorInfo, type TensorSource } from '../tensor-source.js';
import { readSafetensorsHeader, type SafetensorsHeader } from './header.js';

const decoders: Readonly<Record<string, { bytes: number; decode: (bytes: Buffer, out: Float32Array) => void }>> = {
  F32: { bytes: 4, decode: decodeF32 },
  F16: { bytes: 2, decode: decodeF16 },
  BF16: { bytes: 2, decode: decodeBf16 },
};

/** One safetensors file, opened. Close it. */
export interface SafetensorsFile extends TensorSource {
  readonly header: SafetensorsHeader;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Whole tensor, F32, F16 or BF16 widened to f32. */
  readF32(name: string): Promise<Float32Array>;
  /** Whole tensor of dtype I32. */
  readI32(name: string): Promise<Int32Array>;
  /** Stored bytes of a tensor. */
  readBytes(name: string): Promise<Buffer>;
}

export async function openSafetensors(path: string, label = basename(path)): Promise<SafetensorsFile> {
  return readSafetensors(await ByteSource.open(path, label));
}

/** The same of anything that is read by ranges; closes it when its header is refused. */
export async function readSafetensors(source: RangeSource): Promise<SafetensorsFile> {
  try {
    return safetensorsFile(source, await readSafetensorsHeader(source));
  } catch (error) {
    await source.close();
    throw error;
  }
}

function safetensorsFile(source: RangeSource, header: SafetensorsHeader): SafetensorsFile {
  const find = (name: string) => {
    const entry = header.tensors.get(name);
    if (!entry) throw new ModelError('bad_safetensors', `has no tensor ${quoted(name)}`, { file: source.file });
    return entry;
  };
  async function readRows(name: string, start: number, count: number): Promise<Float32Array> {
    const entry = find(name);
    const codec = decoders[entry.dtype];
    if (!codec)
      throw new ModelError('unsupported', `tensor ${quoted(name)} is ${entry.dtype}; F32, F16 and BF16 can be read as weights`, {
        file: source.file,
      });
    const width = rowWidth(entry.shape);
    const out = new Float32Array(count * width);
    codec.decode(await source.read(entry.offset + start * width * codec.bytes, out.length * codec.bytes), out);
    return out;
  }
  return {
    header,
    tensors: header.tensors,
    readRows,
    async readF32(name) {
      return readRows(name, 0, find(name).shape[0] ?? 1);
    },
    async readI32(name) {
      const entry = find(name);
      if (entry.dtype !== 'I32')
        throw new ModelError('bad_safetensors', `tensor ${quoted(name)} is ${entry.dtype}, not I32`, { file: source.file });
      const out = new Int32Array(entry.bytes / 4);
      new Uint8Array(out.buffer).set(await source.read(entry.offset, entry.bytes));
      return out;
    },
    async readBytes(name) {
      return source.read(find(name).offset, find(name).bytes);
    },
    close: () => source.close(),
  };
}
