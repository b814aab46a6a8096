/**
 * Block scales in 8 bits (Dettmers et al., arXiv 2305.14314, double quantisation): their mean is subtracted, the rest is quantised in blocks of 256
 * to the nearest of 256 levels of a dynamic data type (Dettmers et al., arXiv 2110.02861). 0.127 bits a weight instead of 0.5.
 */

export const scaleBlock = 256;

/**
 * Signed dynamic levels, ascending: for each decimal exponent e = -6..0, 2^(e+6) midpoints of equal parts of [0.1, 1] times 10^e, with both signs; 0 and 1.
 */
export const dynamicLevels: Float32Array = makeLevels();

function makeLevels(): Float32Array {
  const levels = [0, 1];
  for (let exponent = 0; exponent < 7; exponent++) {
    const parts = 2 ** exponent;
    // Rounded to f32 where the published data type is: each end's half of the boundaries is counted from that end.
    const step = Math.fround(Math.fround(1 - Math.fround(0.1)) / parts);
    const bound = (i: number) => Math.fround(i < Math.floor((parts + 1) / 2) ? Math.fround(0.1) + step * i : 1 - step * (parts - i));
    const power = Math.fround(10 ** (exponent - 6));
    for (let i = 0; i < parts; i++) {
      const level = Math.fround(power * Math.fround(Math.fround(bound(i) + bound(i + 1)) / 2));
      levels.push(level, -level);
    }
  }
  return Float32Array.from(levels).sort();
}

export interface QuantisedScales {
  /** [blocks] */
  readonly codes: Uint8Array;
  /** [ceil(blocks / 256)] */
  readonly scales: Float32Array;
  readonly mean: number;
}

export function quantiseScales(values: Float32Array): QuantisedScales {
  const mean = Math.fround(values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length));
  const codes = new Uint8Array(values.length);
  const scales = new Float32Array(Math.ceil(values.length / scaleBlock));
  for (let block = 0; block < scales.length; block++) {
    const part = values.subarray(block * scaleBlock, (block + 1) * scaleBlock).map((value) => value - mean);
    const scale = part.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    scales[block] = scale;
    for (let i = 0; i < part.length; i++) codes[block * scaleBlock + i] = nearest(scale > 0 ? Math.fround((part[i] as number) / scale) : 0);
  }
  return { codes, scales, mean };
}

/** A block's scale back: every operation rounded to f32, as the operators do. */
export function scaleOf({ codes, scales, mean }: QuantisedScales, block: number): number {
  const level = dynamicLevels[codes[block] as number] as number;
  return Math.fround(Math.fround(level * (scales[Math.floor(block / scaleBlock)] as number)) + mean);
}

/** A tie goes to the lower level. */
function nearest(x: number): number {
  let low = 0;
  let high = dynamicLevels.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (x > ((dynamicLevels[middle] as number) + (dynamicLevels[middle + 1] as number)) / 2) low = middle + 1;
    else high = middle;
  }
  return low;
}
