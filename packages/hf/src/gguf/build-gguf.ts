/** Builds GGUF files, whole or deliberately wrong, for tests: fields are written as given, nothing is checked. */
export type Field = {
  readonly u8?: number;
  readonly u32?: number;
  readonly u64?: bigint;
  readonly f32?: number;
  readonly text?: string;
  readonly raw?: Uint8Array;
};

export const u8 = (n: number): Field => ({ u8: n });
export const u32 = (n: number): Field => ({ u32: n });
export const u64 = (n: number | bigint): Field => ({ u64: BigInt(n) });
const f32 = (n: number): Field => ({ f32: n });
/** Length and bytes. */
export const text = (s: string): Field => ({ text: s });
export const raw = (bytes: Uint8Array): Field => ({ raw: bytes });

export function bytesOf(...fields: readonly Field[]): Buffer {
  return Buffer.concat(
    fields.map((field) => {
      const out = Buffer.alloc(8);
      if (field.u8 !== undefined) return Buffer.from([field.u8]);
      if (field.u32 !== undefined) return out.subarray(0, out.writeUInt32LE(field.u32));
      if (field.f32 !== undefined) return out.subarray(0, out.writeFloatLE(field.f32));
      if (field.u64 !== undefined) return out.subarray(0, out.writeBigUInt64LE(field.u64));
      if (field.raw !== undefined) return Buffer.from(field.raw);
      const body = Buffer.from(field.text ?? '');
      out.writeBigUInt64LE(BigInt(body.length));
      return Buffer.concat([out, body]);
    }),
  );
}

export const keyU32 = (key: string, value: number) => [text(key), u32(4), u32(value)];
export const keyF32 = (key: string, value: number) => [text(key), u32(6), f32(value)];
export const keyText = (key: string, value: string) => [text(key), u32(8), text(value)];
export const keyU32s = (key: string, values: readonly number[]) => [text(key), u32(9), u32(4), u64(values.length), ...values.map(u32)];
export const keyTexts = (key: string, values: readonly string[]) => [text(key), u32(9), u32(8), u64(values.length), ...values.map(text)];
export const tensor = (name: string, dims: readonly (number | bigint)[], type: number, offset: number | bigint) => [
  text(name),
  u32(dims.length),
  ...dims.map(u64),
  u32(type),
  u64(offset),
];

export interface GgufParts {
  readonly magic?: string;
  readonly version?: number;
  readonly tensorCount?: number | bigint;
  readonly keyCount?: number | bigint;
  readonly keys?: readonly (readonly Field[])[];
  readonly tensors?: readonly (readonly Field[])[];
  readonly dataBytes?: number;
  /** The tensors' bytes, in place of `dataBytes` zeros. */
  readonly data?: Uint8Array;
  readonly alignment?: number;
}

export function buildGguf(parts: GgufParts): Buffer {
  const { keys = [], tensors = [], alignment = 32 } = parts;
  const header = bytesOf(
    raw(Buffer.from(parts.magic ?? 'GGUF')),
    u32(parts.version ?? 3),
    u64(parts.tensorCount ?? tensors.length),
    u64(parts.keyCount ?? keys.length),
    ...keys.flat(),
    ...tensors.flat(),
  );
  const padded = Math.ceil(header.length / alignment) * alignment;
  return Buffer.concat([header, Buffer.alloc(padded - header.length), parts.data ?? Buffer.alloc(parts.dataBytes ?? 0)]);
}
