/** GGUF header: metadata and tensor table. Every count and length is checked against the file before anything is allocated for it. */
import type { ByteSource } from '../byte-source.js';
import { ModelError, quoted } from '../errors.js';
import { HeaderCursor, NeedMoreBytes } from './header-cursor.js';
import { type BlockType, otherTypes, supportedTypes } from './tensor-types.js';

export type GgufValue = number | bigint | boolean | string | readonly GgufValue[];
export interface GgufTensor {
  readonly name: string;
  /** Outermost first: the reverse of the file's order. */
  readonly shape: readonly number[];
  readonly type: BlockType;
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly bytes: number;
}
export interface GgufHeader {
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

const maxHeaderBytes = 256 * 2 ** 20;
const maxTensors = 100_000;
const maxKeys = 10_000;

/** Throws ModelError `bad_gguf` or `unsupported`, naming the key or tensor at fault. */
export async function readGgufHeader(source: ByteSource): Promise<GgufHeader> {
  const limit = Math.min(source.size, maxHeaderBytes);
  // Most headers fit into 4 MiB; a longer one is read again, doubled, so that fields can be parsed without waiting for each.
  for (let length = Math.min(4 * 2 ** 20, limit); ; length = Math.min(length * 2, limit)) {
    const bytes = await source.read(0, length);
    try {
      return parse(new HeaderCursor(bytes, source.size, source.file), source);
    } catch (error) {
      if (!(error instanceof NeedMoreBytes)) throw error;
      if (length === limit) {
        const why = limit < maxHeaderBytes ? 'the file ends inside' : `longer than ${maxHeaderBytes} bytes at`;
        throw new ModelError('bad_gguf', `header: ${why} ${error.what}`, { file: source.file });
      }
    }
  }
}

function parse(cursor: HeaderCursor, source: ByteSource): GgufHeader {
  const refuse = (message: string) => new ModelError('bad_gguf', message, { file: source.file });
  if (cursor.u32('the magic number') !== 0x46554747) throw refuse('not a GGUF file: does not start with "GGUF"');
  const version = cursor.u32('the version');
  if (version !== 2 && version !== 3) {
    throw refuse(version > 0xffff ? 'big-endian GGUF is not supported' : `GGUF version ${version} is not supported (2 and 3 are)`);
  }
  const tensorCount = cursor.count('tensor count', maxTensors, 24);
  const keyCount = cursor.count('metadata count', maxKeys, 13);

  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < keyCount; i++) {
    const key = cursor.string(`metadata key ${i}`, 65_535);
    if (metadata.has(key)) throw refuse(`metadata key ${quoted(key)} occurs twice`);
    metadata.set(key, cursor.value(key));
  }

  const alignment = metadata.get('general.alignment') ?? 32;
  if (typeof alignment !== 'number' || alignment < 8 || alignment > 65_536 || (alignment & (alignment - 1)) !== 0) {
    throw refuse(`general.alignment is ${String(alignment)}; a power of two from 8 to 65536 is needed`);
  }

  const table: { name: string; shape: number[]; type: BlockType; offset: number; bytes: number }[] = [];
  for (let i = 0; i < tensorCount; i++) table.push(tensorEntry(cursor, i, alignment, source));
  const dataStart = Math.ceil(cursor.offset / alignment) * alignment;

  const tensors = new Map<string, GgufTensor>();
  for (const entry of table) {
    const tensor = { ...entry, offset: dataStart + entry.offset };
    if (tensor.offset + tensor.bytes > source.size) {
      throw refuse(
        `tensor ${quoted(tensor.name)}: bytes ${tensor.offset} to ${tensor.offset + tensor.bytes} lie outside the file (${source.size} bytes)`,
      );
    }
    if (tensors.has(tensor.name)) throw refuse(`tensor ${quoted(tensor.name)} occurs twice`);
    tensors.set(tensor.name, tensor);
  }
  const byOffset = [...tensors.values()].sort((a, b) => a.offset - b.offset);
  byOffset.forEach((tensor, i) => {
    const next = byOffset[i + 1];
    if (next && tensor.offset + tensor.bytes > next.offset) throw refuse(`tensors ${quoted(tensor.name)} and ${quoted(next.name)} overlap`);
  });
  return { metadata, tensors };
}

function tensorEntry(cursor: HeaderCursor, i: number, alignment: number, source: ByteSource) {
  const refuse = (message: string) => new ModelError('bad_gguf', message, { file: source.file });
  const name = cursor.string(`name of tensor ${i}`, 256);
  const where = `tensor ${quoted(name)}`;
  const rank = cursor.u32(`${where}: dimensions`);
  if (rank < 1 || rank > 4) throw refuse(`${where}: ${rank} dimensions; 1 to 4 are allowed`);
  const shape: number[] = [];
  for (let k = 0; k < rank; k++) shape.unshift(cursor.size(`${where}: dimension ${k}`));
  const elements = shape.reduce((a, b) => a * b, 1);
  if (!Number.isSafeInteger(elements) || elements < 1) throw refuse(`${where}: shape [${shape.join(', ')}] is empty or too large`);
  const typeId = cursor.u32(`${where}: type`);
  const type = supportedTypes.get(typeId);
  if (type === undefined) {
    const known = otherTypes.get(typeId);
    if (known === undefined) throw refuse(`${where}: unknown tensor type ${typeId}`);
    const readable = [...supportedTypes.values()].map((t) => t.name).join(', ');
    throw new ModelError('unsupported', `${where}: type ${known} cannot be read; export the model as one of ${readable}`, {
      file: source.file,
    });
  }
  const inner = shape.at(-1) as number;
  if (inner % type.elements !== 0)
    throw refuse(`${where}: rows of ${inner} elements are not whole ${type.name} blocks of ${type.elements}`);
  const bytes = (elements / type.elements) * type.bytes;
  if (bytes > source.size) throw refuse(`${where}: shape [${shape.join(', ')}] needs ${bytes} bytes, the file has ${source.size}`);
  const offset = cursor.size(`${where}: offset`);
  if (offset % alignment !== 0) throw refuse(`${where}: offset ${offset} is not a multiple of the alignment ${alignment}`);
  return { name, shape, type, offset, bytes };
}
