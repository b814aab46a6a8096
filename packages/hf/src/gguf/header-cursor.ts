import { ModelError, quoted } from '../errors.js';
import type { GgufValue } from './header.js';

/** The prefix of the file that was read ends inside `what`; nothing is known to be wrong. */
export class NeedMoreBytes extends Error {
  constructor(readonly what: string) {
    super(what);
  }
}

const maxArrayElements = 2 ** 22;
const maxStringBytes = 16 * 2 ** 20;
/** Bytes of one element by value type (gguf.h, enum gguf_type); strings and arrays have at least their length field. */
const elementBytes: readonly number[] = [1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8];
const stringType = 8;
const arrayType = 9;

/** Reads typed fields from the start of a GGUF file; `fileSize` bounds what counts may claim. */
export class HeaderCursor {
  offset = 0;
  private readonly utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

  constructor(
    private readonly bytes: Buffer,
    private readonly fileSize: number,
    private readonly file: string,
  ) {}

  private refuse(message: string): ModelError {
    return new ModelError('bad_gguf', message, { file: this.file });
  }

  private take(length: number, what: string): number {
    const at = this.offset;
    if (at + length > this.bytes.length) throw new NeedMoreBytes(what);
    this.offset = at + length;
    return at;
  }

  u32(what: string): number {
    return this.bytes.readUInt32LE(this.take(4, what));
  }

  private u64(what: string): bigint {
    return this.bytes.readBigUInt64LE(this.take(8, what));
  }

  /** A u64 that can be an offset or dimension. */
  size(what: string): number {
    const value = this.u64(what);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.refuse(`${what} is ${value}, beyond any file`);
    return Number(value);
  }

  /** A u64 count of things of at least `minBytes` each, which must fit into the rest of the file. */
  count(what: string, max: number, minBytes: number): number {
    const value = this.u64(what);
    if (value > BigInt(max)) throw this.refuse(`${what} is ${value}; at most ${max} are accepted`);
    const n = Number(value);
    if (n * minBytes > this.fileSize - this.offset) throw this.refuse(`${what} is ${value}, more than the file can hold`);
    return n;
  }

  string(what: string, maxBytes: number): string {
    const length = this.count(`length of ${what}`, maxBytes, 1);
    const at = this.take(length, what);
    try {
      return this.utf8.decode(this.bytes.subarray(at, at + length));
    } catch (cause) {
      throw new ModelError('bad_gguf', `${what} is not valid UTF-8`, { file: this.file, cause });
    }
  }

  value(key: string): GgufValue {
    const what = `metadata ${quoted(key)}`;
    const type = this.u32(`${what}: type`);
    if (type !== arrayType) return this.scalar(type, what);
    const element = this.u32(`${what}: element type`);
    if (element === arrayType) throw this.refuse(`${what}: arrays of arrays are not accepted`);
    const minBytes = element === stringType ? 8 : elementBytes[element];
    if (minBytes === undefined) throw this.refuse(`${what}: unknown element type ${element}`);
    const count = this.count(`${what}: element count`, maxArrayElements, minBytes);
    const values: GgufValue[] = [];
    for (let i = 0; i < count; i++) values.push(this.scalar(element, what));
    return values;
  }

  private scalar(type: number, what: string): GgufValue {
    if (type === stringType) return this.string(what, maxStringBytes);
    const length = elementBytes[type];
    if (length === undefined || type === arrayType) throw this.refuse(`${what}: unknown value type ${type}`);
    const at = this.take(length, what);
    const b = this.bytes;
    switch (type) {
      case 0:
        return b.readUInt8(at);
      case 1:
        return b.readInt8(at);
      case 2:
        return b.readUInt16LE(at);
      case 3:
        return b.readInt16LE(at);
      case 4:
        return b.readUInt32LE(at);
      case 5:
        return b.readInt32LE(at);
      case 6:
        return b.readFloatLE(at);
      case 7:
        return this.boolean(b.readUInt8(at), what);
      case 10:
        return narrowed(b.readBigUInt64LE(at));
      case 11:
        return narrowed(b.readBigInt64LE(at));
      default:
        return b.readDoubleLE(at);
    }
  }

  private boolean(value: number, what: string): boolean {
    if (value > 1) throw this.refuse(`${what}: boolean is ${value}, neither 0 nor 1`);
    return value === 1;
  }
}

/** Integers that a double holds exactly become numbers, others stay bigint and are refused where a number is needed. */
function narrowed(value: bigint): number | bigint {
  const n = Number(value);
  return Number.isSafeInteger(n) ? n : value;
}
