/**
 * Block dequantisers of ggml's formats, bit-exact with the reference in Python's `gguf` package, which works in f32.
 * A product of an f16 scale (11 bits) and integers of at most 13 bits together is exact in f32, so only sums need Math.fround;
 * storing into the Float32Array is that rounding.
 */
import { decodeBf16, decodeF16, decodeF32, f16Table } from '../half-floats.js';

type Dequantiser = (bytes: Buffer, out: Float32Array) => void;
/** Decodes one block at byte `b` to out[o...]. */
type BlockDecoder = (bytes: Buffer, b: number, out: Float32Array, o: number, half: Float32Array) => void;

const byte = (bytes: Buffer, i: number) => bytes[i] as number;
const f16 = (bytes: Buffer, b: number, half: Float32Array) => half[byte(bytes, b) | (byte(bytes, b + 1) << 8)] as number;
const signed = (value: number) => (value << 24) >> 24;

function blocks(elements: number, size: number, decode: BlockDecoder): Dequantiser {
  return (bytes, out) => {
    const half = f16Table();
    for (let b = 0, o = 0; o < out.length; b += size, o += elements) decode(bytes, b, out, o, half);
  };
}

const q4_0 = blocks(32, 18, (bytes, b, out, o, half) => {
  const d = f16(bytes, b, half);
  for (let j = 0; j < 16; j++) {
    const q = byte(bytes, b + 2 + j);
    out[o + j] = d * ((q & 15) - 8);
    out[o + j + 16] = d * ((q >> 4) - 8);
  }
});

const q4_1 = blocks(32, 20, (bytes, b, out, o, half) => {
  const d = f16(bytes, b, half);
  const m = f16(bytes, b + 2, half);
  for (let j = 0; j < 16; j++) {
    const q = byte(bytes, b + 4 + j);
    out[o + j] = d * (q & 15) + m;
    out[o + j + 16] = d * (q >> 4) + m;
  }
});

const q5_0 = blocks(32, 22, (bytes, b, out, o, half) => {
  const d = f16(bytes, b, half);
  const high = bytes.readUInt32LE(b + 2);
  for (let j = 0; j < 16; j++) {
    const q = byte(bytes, b + 6 + j);
    out[o + j] = d * (((q & 15) | (((high >>> j) & 1) << 4)) - 16);
    out[o + j + 16] = d * (((q >> 4) | (((high >>> (j + 16)) & 1) << 4)) - 16);
  }
});

const q5_1 = blocks(32, 24, (bytes, b, out, o, half) => {
  const d = f16(bytes, b, half);
  const m = f16(bytes, b + 2, half);
  const high = bytes.readUInt32LE(b + 4);
  for (let j = 0; j < 16; j++) {
    const q = byte(bytes, b + 8 + j);
    out[o + j] = d * ((q & 15) | (((high >>> j) & 1) << 4)) + m;
    out[o + j + 16] = d * ((q >> 4) | (((high >>> (j + 16)) & 1) << 4)) + m;
  }
});

const q8_0 = blocks(32, 34, (bytes, b, out, o, half) => {
  const d = f16(bytes, b, half);
  for (let j = 0; j < 32; j++) out[o + j] = d * signed(byte(bytes, b + 2 + j));
});

/** Scale and minimum of sub-block `s` (0-7) of a K block: 6 bits each, packed in the 12 bytes at `b`. */
function scaleAndMin(bytes: Buffer, b: number, s: number): readonly [number, number] {
  if (s < 4) return [byte(bytes, b + s) & 63, byte(bytes, b + s + 4) & 63];
  const low = byte(bytes, b + s + 4);
  return [(low & 15) | ((byte(bytes, b + s - 4) >> 6) << 4), (low >> 4) | ((byte(bytes, b + s) >> 6) << 4)];
}

const q4_k = blocks(256, 144, (bytes, b, out, o, half) => {
  const d = f16(bytes, b, half);
  const dMin = f16(bytes, b + 2, half);
  for (let s = 0; s < 8; s++) {
    const [scale, min] = scaleAndMin(bytes, b + 4, s);
    const ds = d * scale;
    const dm = Math.fround(dMin * min);
    const q = b + 16 + (s >> 1) * 32;
    const shift = (s & 1) * 4;
    for (let j = 0; j < 32; j++) out[o + 32 * s + j] = Math.fround(ds * ((byte(bytes, q + j) >> shift) & 15)) - dm;
  }
});

const q5_k = blocks(256, 176, (bytes, b, out, o, half) => {
  const d = f16(bytes, b, half);
  const dMin = f16(bytes, b + 2, half);
  for (let s = 0; s < 8; s++) {
    const [scale, min] = scaleAndMin(bytes, b + 4, s);
    const ds = d * scale;
    const dm = Math.fround(dMin * min);
    const low = b + 48 + (s >> 1) * 32;
    const shift = (s & 1) * 4;
    for (let j = 0; j < 32; j++) {
      const q = ((byte(bytes, low + j) >> shift) & 15) | (((byte(bytes, b + 16 + j) >> s) & 1) << 4);
      out[o + 32 * s + j] = Math.fround(ds * q) - dm;
    }
  }
});

const q6_k = blocks(256, 210, (bytes, b, out, o, half) => {
  const d = f16(bytes, b + 208, half);
  for (let group = 0; group < 8; group++) {
    const side = group >> 2;
    const quarter = group & 3;
    const low = b + side * 64 + (quarter & 1) * 32;
    const lowShift = (quarter >> 1) * 4;
    const high = b + 128 + side * 32;
    for (let j = 0; j < 32; j++) {
      const scale = Math.fround(d * signed(byte(bytes, b + 192 + group * 2 + (j >> 4))));
      const q = ((byte(bytes, low + j) >> lowShift) & 15) | (((byte(bytes, high + j) >> (2 * quarter)) & 3) << 4);
      out[o + 32 * group + j] = scale * (q - 32);
    }
  }
});

const byName: Readonly<Record<string, Dequantiser>> = {
  F32: decodeF32,
  F16: decodeF16,
  BF16: decodeBf16,
  Q4_0: q4_0,
  Q4_1: q4_1,
  Q5_0: q5_0,
  Q5_1: q5_1,
  Q8_0: q8_0,
  Q4_K: q4_k,
  Q5_K: q5_k,
  Q6_K: q6_k,
};

/** bytes hold whole blocks of `type`; out.length is a multiple of the block's elements. */
export function dequantise(type: string, bytes: Buffer, out: Float32Array): void {
  const decode = byName[type];
  if (decode === undefined) throw new RangeError(`no dequantiser for ${type}`);
  decode(bytes, out);
}
