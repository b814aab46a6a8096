/** safetensors header: u64 length, JSON, then the data. Everything is checked before a tensor is read or memory for one is allocated. */
import type { RangeSource } from '../byte-source.js';
import { ModelError, quoted } from '../errors.js';
import { parseUniqueJson } from './unique-json.js';

export interface SafetensorsEntry {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly bytes: number;
}
export interface SafetensorsHeader {
  readonly metadata: Readonly<Record<string, string>>;
  /** In file order of the data. */
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>;
}

const maxHeaderBytes = 100 * 2 ** 20;
const maxTensors = 100_000;
const maxRank = 8;
/** Bytes of one element. All that the format knows: a file may hold types that are skipped. */
const dtypeBytes: ReadonlyMap<string, number> = new Map([
  ['F64', 8],
  ['F32', 4],
  ['F16', 2],
  ['BF16', 2],
  ['I64', 8],
  ['I32', 4],
  ['I16', 2],
  ['I8', 1],
  ['U64', 8],
  ['U32', 4],
  ['U16', 2],
  ['U8', 1],
  ['BOOL', 1],
  ['F8_E4M3', 1],
  ['F8_E5M2', 1],
]);

/** Throws ModelError `bad_safetensors` that names the tensor and rule. */
export async function readSafetensorsHeader(source: RangeSource): Promise<SafetensorsHeader> {
  const refuse = (message: string, cause?: unknown) => new ModelError('bad_safetensors', message, { file: source.file, cause });
  if (source.size < 8) throw refuse(`is ${source.size} bytes long, shorter than any safetensors file`);
  const length = (await source.read(0, 8)).readBigUInt64LE(0);
  const limit = Math.min(maxHeaderBytes, source.size - 8);
  if (length < 2n || length > BigInt(limit)) throw refuse(`header length is ${length}; 2 to ${limit} bytes are possible`);
  const headerBytes = Number(length);
  const raw = await source.read(8, headerBytes);
  let header: ReadonlyMap<string, unknown>;
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(raw);
    if (!text.startsWith('{')) throw new Error('does not start with {');
    const value = parseUniqueJson(text);
    if (!(value instanceof Map)) throw new Error('is not an object');
    header = value;
  } catch (cause) {
    throw refuse(`header: ${(cause as Error).message}`, cause);
  }
  if (header.size > maxTensors) throw refuse(`has ${header.size} tensors; at most ${maxTensors} are accepted`);

  const dataStart = 8 + headerBytes;
  let metadata: Record<string, string> = {};
  const entries: [string, SafetensorsEntry][] = [];
  for (const [name, value] of header) {
    if (name === '__metadata__') metadata = textMap(value, refuse);
    else entries.push([name, entry(name, value, dataStart, refuse)]);
  }
  entries.sort(([, a], [, b]) => a.offset - b.offset || a.bytes - b.bytes);
  let end = dataStart;
  for (const [name, { offset, bytes }] of entries) {
    if (offset < end) throw refuse(`tensor ${quoted(name)} overlaps the one before it`);
    if (offset > end) throw refuse(`${offset - end} unused bytes before tensor ${quoted(name)}`);
    end = offset + bytes;
  }
  if (end !== source.size) throw refuse(`tensors end at byte ${end}, the file has ${source.size}`);
  return { metadata, tensors: new Map(entries) };
}

type Refuse = (message: string) => ModelError;

function entry(name: string, value: unknown, dataStart: number, refuse: Refuse): SafetensorsEntry {
  const where = `tensor ${quoted(name)}`;
  if (!(value instanceof Map)) throw refuse(`${where}: is not described by an object`);
  for (const key of value.keys())
    if (!['dtype', 'shape', 'data_offsets'].includes(String(key))) throw refuse(`${where}: unknown field ${quoted(String(key))}`);
  const dtype: unknown = value.get('dtype');
  const size = typeof dtype === 'string' ? dtypeBytes.get(dtype) : undefined;
  if (typeof dtype !== 'string' || size === undefined) throw refuse(`${where}: unknown dtype ${quoted(String(dtype))}`);
  const shape = naturals(value.get('shape'));
  if (!shape || shape.length > maxRank) throw refuse(`${where}: shape is not a list of at most ${maxRank} natural numbers`);
  const offsets = naturals(value.get('data_offsets'));
  if (offsets?.length !== 2) throw refuse(`${where}: data_offsets is not a pair of natural numbers`);
  const [start, end] = offsets as [number, number];
  if (end < start) throw refuse(`${where}: data_offsets end before they start`);
  const elements = shape.reduce((a, b) => a * b, 1);
  if (!Number.isSafeInteger(elements * size)) throw refuse(`${where}: shape [${shape}] is too large`);
  if (elements * size !== end - start)
    throw refuse(`${where}: shape [${shape}] of ${dtype} is ${elements * size} bytes, data_offsets span ${end - start}`);
  return { dtype, shape, offset: dataStart + start, bytes: end - start };
}

function naturals(value: unknown): number[] | null {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0) ? (value as number[]) : null;
}

function textMap(value: unknown, refuse: Refuse): Record<string, string> {
  if (!(value instanceof Map)) throw refuse('__metadata__ is not an object');
  const metadata: Record<string, string> = Object.create(null);
  for (const [key, text] of value) {
    if (typeof text !== 'string') throw refuse(`__metadata__ ${quoted(String(key))} is not text`);
    metadata[String(key)] = text;
  }
  return metadata;
}
