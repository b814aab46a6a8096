import type { RowSparseConfig } from '@rowsmith/contracts';
import type { Handle } from '../runtime/handle.js';

/** How the base's matrices are held. `double`: NF4 only; the block scales in 8 bits too. */
export interface Quantization {
  readonly kind: 'bf16' | 'int8' | 'nf4';
  readonly double: boolean;
}

/** undefined: as they are. */
export function quantizationOf({
  quantization,
  double_quantization,
}: Pick<RowSparseConfig, 'quantization' | 'double_quantization'>): Quantization | undefined {
  return quantization === 'none' ? undefined : { kind: quantization, double: double_quantization };
}

/** Numbers that share a scale, along the row-major matrix: NF4 as published. */
export const nf4Block = 64;

/** Dettmers et al., arXiv 2305.14314: quantiles of a normal distribution, both ends and zero exact. */
export const nf4Levels = Float32Array.of(
  -1,
  -0.6961928009986877,
  -0.5250730514526367,
  -0.39491748809814453,
  -0.28444138169288635,
  -0.18477343022823334,
  -0.09105003625154495,
  0,
  0.07958029955625534,
  0.16093020141124725,
  0.24611230194568634,
  0.33791524171829224,
  0.44070982933044434,
  0.5626170039176941,
  0.7229568362236023,
  1,
);

/**
 * Midpoints: x takes the level above a threshold if it is greater, so a tie goes to the lower level. The published decimals, rounded to f32 once:
 * some midpoints lie halfway between two f32, and by way of f64 three of them would round to the other one.
 */
export const nf4Thresholds: readonly number[] = [
  -0.84809643030166626, -0.61063289642333984, -0.45999526977539062, -0.33967941999435425, -0.23460739850997925, -0.13791173696517944,
  -0.045525018125772476, 0.03979014977812767, 0.1202552542090416, 0.2035212516784668, 0.29201376438140869, 0.38931253552436829,
  0.50166338682174683, 0.64278692007064819, 0.86147838830947876,
];

/** Two codes a byte, the first in the high half. A block's value: level[code] x scale. */
export interface Nf4Codes {
  /** [ceil(n / 2)] u8 */
  readonly codes: Handle;
  /** [blocks] f32; quantised twice: [ceil(blocks / 256)] f32. */
  readonly scales: Handle;
  /** Quantised twice: a block's scale is levels[codes] x scales[block / 256] + the mean. codes: [blocks] u8; levels: [257] f32, the mean last. */
  readonly twice?: { readonly codes: Handle; readonly levels: Handle };
}

/** Value: (code - 128) x the row's scale. */
export interface Int8Codes {
  /** [out, in] u8 */
  readonly codes: Handle;
  /** [out] f32 */
  readonly scales: Handle;
}

/** Rows [start, start + rows) of a matrix with so many columns. */
export interface Place {
  readonly start: number;
  readonly rows: number;
  readonly columns: number;
}
