/** The published oracle, ties, zero blocks, and the fused operators against their stock twins, bit by bit. */
import { loadKernels } from '@rowsmith/kernels';
import { beforeAll, describe, expect, it } from 'vitest';
import { FusedOps } from '../ops/fused-ops.js';
import { StockOps } from '../ops/stock-ops.js';
import type { Handle } from '../runtime/handle.js';
import { openRuntime } from '../runtime/open-runtime.js';
import { philox } from '../runtime/philox.js';
import type { Runtime } from '../runtime/runtime.js';
import { dynamicLevels, quantiseScales, scaleOf } from './double-quantise.js';
import { type Nf4Codes, nf4Block, nf4Levels, nf4Thresholds } from './formats.js';

let runtime: Runtime;
let kinds: readonly StockOps[];
beforeAll(async () => {
  runtime = await openRuntime();
  const kernels = await loadKernels();
  if (!kernels.loaded) throw new Error(`fused operators: ${kernels.reason}`);
  kinds = [new StockOps(runtime), new FusedOps(runtime)];
});

const matrix = (rows: number, columns: number, values: Float32Array): Handle => runtime.upload(values, [rows, columns], 'f32', true);
const random = (seed: number, count: number): Float32Array => philox(seed, 'quantise', 0).fill(new Float32Array(count), -1, 1);
/** The binding reads no bytes. */
const bytes = (handle: Handle): number[] =>
  Array.from(runtime.readI32(runtime.execute('Cast', [handle], [{ name: 'DstT', type: 4, value: 3 }])));
const nibbles = (handle: Handle, count: number): number[] =>
  bytes(handle)
    .flatMap((byte) => [byte >> 4, byte & 15])
    .slice(0, count);
/** Both kinds of operators, their handles freed. */
const onBoth = (body: (ops: StockOps) => void) => {
  for (const ops of kinds) runtime.scope(() => body(ops));
};
const whole = (rows: number, columns: number) => ({ start: 0, rows, columns });

it('thresholds are f32, halfway between the levels', () => {
  nf4Thresholds.forEach((threshold, i) => {
    expect(Math.fround(threshold)).toBe(threshold);
    const middle = ((nf4Levels[i] as number) + (nf4Levels[i + 1] as number)) / 2;
    expect(Math.abs(threshold - middle)).toBeLessThanOrEqual(2 ** -25);
  });
});

describe('a 3 x 4 matrix in blocks of 4, by hand', () => {
  const w = Float32Array.of(0.1, -0.2, 0.05, 0, 0.3, 0.12, -0.3, 0.02, -0.08, 0.4, 0.33, -0.25);
  const back = [
    [0.08814197, -0.2, 0.04922246, 0],
    [0.3, 0.13221295, -0.3, 0.02387409],
    [-0.07390937, 0.4, 0.28918275, -0.27847713],
  ];

  it('scales, codes, values; a selected row restored; a second round changes nothing', () => {
    onBoth((ops) => {
      const q = ops.quantiseNf4(matrix(3, 4, w), 4);
      expect(runtime.readF32(q.scales)).toEqual(Float32Array.of(0.2, 0.3, 0.4));
      expect(nibbles(q.codes, 12)).toEqual([12, 0, 10, 7, 15, 12, 0, 8, 5, 15, 14, 1]);
      const values = runtime.readF32(ops.dequantiseNf4(q, 4, whole(3, 4)));
      values.forEach((value, i) => {
        expect(Math.abs(value - (back.flat()[i] as number))).toBeLessThan(2e-8);
      });
      // S = {1}: R = W - Scatter((W - Q)[S]), and Q + Scatter(D) = W in row 1.
      const d = w.map((value, i) => (i >= 4 && i < 8 ? value - (values[i] as number) : 0));
      [0, -0.01221295, 0, -0.00387409].forEach((value, j) => {
        expect(Math.abs((d[4 + j] as number) - value)).toBeLessThan(2e-8);
        expect(Math.fround((values[4 + j] as number) + (d[4 + j] as number))).toBe(w[4 + j]);
      });
      const again = ops.quantiseNf4(
        matrix(
          3,
          4,
          w.map((value, i) => value - (d[i] as number)),
        ),
        4,
      );
      expect(runtime.readF32(ops.dequantiseNf4(again, 4, whole(3, 4)))).toEqual(values);
    });
  });
});

it('residual initialisation is a fixed point: the second round gives the same Q and D in every bit', () => {
  // Rows of 100 share blocks of 64 with their neighbours.
  const [rows, columns] = [9, 100];
  const w = random(1, rows * columns);
  const selected = new Set([0, 4, 8]);
  onBoth((ops) => {
    const round = (residual: Float32Array) => {
      const q = runtime.readF32(
        ops.dequantiseNf4(ops.quantiseNf4(matrix(rows, columns, residual), nf4Block), nf4Block, whole(rows, columns)),
      );
      const d = w.map((value, i) => (selected.has(Math.floor(i / columns)) ? value - (q[i] as number) : 0));
      return { q, d, next: w.map((value, i) => value - (d[i] as number)) };
    };
    const first = round(w);
    const second = round(first.next);
    expect(first.d.some((value) => value !== 0)).toBe(true);
    expect(second.d).toEqual(first.d);
    expect(second.q).toEqual(first.q);
  });
});

it('ties go to the lower level, zero blocks to zero, whatever is beside them', () => {
  const tie = Float32Array.from(nf4Thresholds, (threshold) => threshold);
  const w = new Float32Array(2 * 64 + 3);
  w.set([1, ...tie, ...tie.map((value) => value + Math.abs(value) * 2 ** -22)]);
  w.set([-0.5, 0.25, 0], 128);
  onBoth((ops) => {
    const q = ops.quantiseNf4(matrix(1, w.length, w), 64);
    const codes = nibbles(q.codes, w.length);
    expect(codes.slice(1, 16)).toEqual([...nf4Thresholds.keys()]);
    expect(codes.slice(16, 31)).toEqual(Array.from(nf4Thresholds.keys(), (k) => k + 1));
    expect(runtime.readF32(q.scales)).toEqual(Float32Array.of(1, 0, 0.5));
    const back = runtime.readF32(ops.dequantiseNf4(q, 64, whole(1, w.length)));
    expect(back.subarray(64, 128)).toEqual(new Float32Array(64));
    expect(back.subarray(128)).toEqual(Float32Array.of(-0.5, 0.5 * (nf4Levels[12] as number), 0));
    const zeros = ops.quantiseInt8(matrix(2, 2, Float32Array.of(0, 0, -127, 63.5)));
    expect(bytes(zeros.codes)).toEqual([128, 128, 1, 192]);
    expect(runtime.readF32(ops.dequantiseInt8(zeros, whole(2, 2)))).toEqual(Float32Array.of(0, 0, -127, 64));
  });
});

describe.each([
  [1, 1, 64],
  [3, 5, 7],
  [7, 100, 64],
  [65, 576, 64],
  [400, 50, 1],
])('twins on [%i, %i] in blocks of %i', (rows, columns, block) => {
  const w = random(rows, rows * columns);

  it('NF4, int8 and any rows of them are equal in every bit', () => {
    const before = runtime.handleCount;
    const results = kinds.map((ops) =>
      runtime.scope(() => {
        const q = ops.quantiseNf4(matrix(rows, columns, w), block);
        const int8 = ops.quantiseInt8(matrix(rows, columns, w));
        const scales = runtime.readF32(q.scales);
        const doubled = quantiseScales(scales);
        const levels = Float32Array.of(...dynamicLevels, doubled.mean);
        const twice: Nf4Codes = {
          codes: q.codes,
          scales: runtime.upload(doubled.scales, [doubled.scales.length], 'f32'),
          twice: { codes: runtime.upload(doubled.codes, [doubled.codes.length], 'u8'), levels: runtime.upload(levels, [257], 'f32') },
        };
        const place = { start: rows >> 1, rows: rows - (rows >> 1), columns };
        const full = runtime.readF32(ops.dequantiseNf4(twice, block, whole(rows, columns)));
        expect(full).toEqual(
          Float32Array.from(
            nibbles(q.codes, rows * columns),
            (code, i) => (nf4Levels[code] as number) * scaleOf(doubled, Math.floor(i / block)),
          ),
        );
        return {
          codes: bytes(q.codes),
          scales,
          values: runtime.readF32(ops.dequantiseNf4(q, block, whole(rows, columns))),
          part: runtime.readF32(ops.dequantiseNf4(q, block, place)),
          twice: full,
          int8: bytes(int8.codes),
          int8Scales: runtime.readF32(int8.scales),
          int8Part: runtime.readF32(ops.dequantiseInt8(int8, place)),
        };
      }),
    );
    expect(results[1]).toEqual(results[0]);
    expect(results[0]?.part).toEqual(results[0]?.values.subarray((rows >> 1) * columns));
    // Half a gap between levels at most: the widest is from -1 to -0.696.
    const worst = w.reduce((most, value, i) => Math.max(most, Math.abs(value - (results[0]?.values[i] ?? Number.NaN))), 0);
    expect(worst).toBeLessThan(0.153);
    expect(runtime.handleCount - before).toBeLessThanOrEqual(8); // constants, made once
  });
});

it('a weight that is not a number shows in the scale', () => {
  onBoth((ops) => {
    const w = matrix(2, 2, Float32Array.of(1, Number.NaN, Number.NEGATIVE_INFINITY, 0));
    expect(runtime.readF32(ops.quantiseNf4(w, 2).scales)).toEqual(Float32Array.of(Number.NaN, Number.POSITIVE_INFINITY));
    expect(runtime.readF32(ops.quantiseInt8(w).scales)).toEqual(Float32Array.of(Number.NaN, Number.POSITIVE_INFINITY));
  });
});

describe('scales in 8 bits', () => {
  it('levels: 256, ascending, 0 and 1 and no -1, finer towards 0', () => {
    expect(dynamicLevels).toHaveLength(256);
    expect(new Set(dynamicLevels).size).toBe(256);
    expect([dynamicLevels[0], dynamicLevels[127], dynamicLevels[128], dynamicLevels[255]]).toEqual([
      -0.992968738079071, 0, 5.500000384017767e-7, 1,
    ]);
  });

  it('each is the nearest level of its block of 256, around the mean; a constant stays itself', () => {
    const values = random(3, 700).map((value) => 0.02 + 0.01 * value);
    const q = quantiseScales(values);
    expect(q.scales).toHaveLength(3);
    values.forEach((value, i) => {
      const x = Math.fround(Math.fround(value - q.mean) / (q.scales[i >> 8] as number));
      const distance = (level: number) => Math.abs(x - level);
      const best = dynamicLevels.reduce((least, level) => Math.min(least, distance(level)), Number.POSITIVE_INFINITY);
      expect(distance(dynamicLevels[q.codes[i] as number] as number)).toBe(best);
    });
    const same = quantiseScales(new Float32Array(300).fill(0.3));
    expect(scaleOf(same, 299)).toBe(Math.fround(0.3));
  });
});
