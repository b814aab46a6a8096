/**
 * Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
 * A number depends only on (seed, purpose, step, position), so a resumed run draws what an uninterrupted one would have drawn.
 */
type Words4 = readonly [number, number, number, number];

const multiplier0 = 0xd2511f53;
const multiplier1 = 0xcd9e8d57;
const weyl0 = 0x9e3779b9;
const weyl1 = 0xbb67ae85;

/** High 32 bits of the unsigned product; doubles cannot hold all 64. */
function mulHigh(a: number, b: number): number {
  const [a0, a1, b0, b1] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16];
  const middle = a1 * b0 + ((a0 * b0) >>> 16);
  const carry = a0 * b1 + (middle & 0xffff);
  return (a1 * b1 + Math.floor(middle / 65536) + Math.floor(carry / 65536)) >>> 0;
}

/** One block of four u32 for a counter of four u32 under a key of two. */
export function philox4x32(counter: Words4, key: readonly [number, number]): Words4 {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const high0 = mulHigh(multiplier0, c0);
    const low0 = Math.imul(multiplier0, c0);
    const high1 = mulHigh(multiplier1, c2);
    const low1 = Math.imul(multiplier1, c2);
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1 >>> 0;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0 >>> 0;
    k0 = (k0 + weyl0) >>> 0;
    k1 = (k1 + weyl1) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** FNV-1a, 32 bits: gives each purpose its own streams. */
function hashPurpose(purpose: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(purpose)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
}

/** A stream of at most 2^34 numbers. */
export interface RandomStream {
  /** Uniform integer in [0, 2^32). */
  u32(): number;
  /** Uniform in [0, 1), multiple of 2^-24: exact in f32. */
  f32(): number;
  /** Uniform integer in [0, bound), without modulo bias. bound: integer in [1, 2^32]. */
  below(bound: number): number;
  /** Overwrites `out` with uniform numbers in [low, high); returns it. */
  fill(out: Float32Array, low: number, high: number): Float32Array;
}

/** seed and step: integers in [0, 2^53). */
export function philox(seed: number, purpose: string, step: number): RandomStream {
  for (const [name, value] of Object.entries({ seed, step }))
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${name} must be an integer in [0, 2^53), got ${value}`);
  const key = [seed >>> 0, Math.floor(seed / 2 ** 32)] as const;
  const stream = hashPurpose(purpose);
  const [stepLow, stepHigh] = [step >>> 0, Math.floor(step / 2 ** 32)];
  let block = 0;
  let words: Words4 = [0, 0, 0, 0];
  let used = 4;

  function u32(): number {
    if (used === 4) {
      words = philox4x32([block++, stream, stepLow, stepHigh], key);
      used = 0;
    }
    return words[used++ as 0 | 1 | 2 | 3];
  }
  const f32 = (): number => (u32() >>> 8) / 2 ** 24;
  return {
    u32,
    f32,
    below(bound) {
      if (!Number.isInteger(bound) || bound < 1 || bound > 2 ** 32)
        throw new RangeError(`bound must be an integer in [1, 2^32], got ${bound}`);
      const limit = 2 ** 32 - (2 ** 32 % bound);
      for (;;) {
        const word = u32();
        if (word < limit) return word % bound;
      }
    },
    fill(out, low, high) {
      for (let i = 0; i < out.length; i++) out[i] = low + (high - low) * f32();
      return out;
    },
  };
}
