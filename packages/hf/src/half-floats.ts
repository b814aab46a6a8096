/** Widening of 16-bit floats. Exact: every f16 and bf16 value is an f32 value. */

function f16Value(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

let table: Float32Array | undefined;
/** f32 value of each of the 65,536 f16 bit patterns. Built once, 256 KB: a look-up is what makes bulk decoding fast. */
export function f16Table(): Float32Array {
  table ??= Float32Array.from({ length: 65536 }, (_, bits) => f16Value(bits));
  return table;
}

/** Little-endian f16 bytes to f32. */
export function decodeF16(bytes: Buffer, out: Float32Array): void {
  const values = f16Table();
  for (let i = 0; i < out.length; i++) out[i] = values[bytes.readUInt16LE(2 * i)] as number;
}

/** Little-endian bf16 bytes to f32: the upper half of the f32 pattern. */
export function decodeBf16(bytes: Buffer, out: Float32Array): void {
  const bits = new Uint32Array(out.buffer, out.byteOffset, out.length);
  for (let i = 0; i < out.length; i++) bits[i] = (bytes.readUInt16LE(2 * i) << 16) >>> 0;
}

/** Little-endian f32 bytes to f32, whatever the alignment of `bytes`. */
export function decodeF32(bytes: Buffer, out: Float32Array): void {
  new Uint8Array(out.buffer, out.byteOffset, out.byteLength).set(bytes.subarray(0, out.byteLength));
}
