/** Against the definitions in plain arithmetic rounded to f32; equal in every bit. */
import { beforeAll, describe, expect, test } from 'vitest';
import { type OpCaller, openOpCaller, values } from './op-caller.js';

const levels = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
  0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
  0.7229568362236023, 1,
];

let ops: OpCaller;
beforeAll(async () => {
  ops = await openOpCaller();
});

type Tensor = ReturnType<OpCaller['binding']['executeOp']>[number];
const uint8 = 4;
const attributes = (block?: number) => (block === undefined ? [] : [{ name: 'block', type: ops.binding.TF_ATTR_INT, value: block }]);
const run = (name: string, inputs: readonly Tensor[], outputs: number, block?: number): Tensor[] =>
  ops.binding.executeOp(
    name,
    attributes(block),
    inputs.map(({ id }) => id),
    outputs,
  );
const upload = (shape: number[], data: Float32Array | Int32Array): Tensor => {
  const dtype = data instanceof Float32Array ? ops.binding.TF_FLOAT : ops.binding.TF_INT32;
  return { id: ops.binding.createTensor(shape, dtype, data.slice()), shape };
};
/** The binding cannot read bytes: cast to i32 first; and back for an upload. */
const cast = (tensor: Tensor, dtype: number): Tensor => {
  const [result] = ops.binding.executeOp('Cast', [{ name: 'DstT', type: 4, value: dtype }], [tensor.id], 1);
  if (!result) throw new Error('no output');
  return result;
};
const bytes = (data: readonly number[] | Uint8Array): Tensor => {
  const wide = upload([data.length], Int32Array.from(data));
  const narrow = cast(wide, uint8);
  free(wide);
  return narrow;
};
const read = (tensor: Tensor) => ops.binding.tensorDataSync(tensor.id).slice();
const readBytes = (tensor: Tensor): number[] => {
  const wide = cast(tensor, ops.binding.TF_INT32);
  const data = Array.from(read(wide));
  free(wide);
  return data;
};
const free = (...tensors: readonly Tensor[]) => {
  for (const { id } of tensors) ops.binding.deleteTensor(id);
};
const pair = (tensors: Tensor[]): [Tensor, Tensor] => tensors as [Tensor, Tensor];

function nf4(w: Float32Array, block: number): { codes: number[]; scales: Float32Array; back: Float32Array } {
  const scales = Float32Array.from({ length: Math.ceil(w.length / block) }, (_, b) =>
    w.subarray(b * block, (b + 1) * block).reduce((most, value) => Math.max(most, Math.abs(value)), 0),
  );
  const scaleOf = (i: number) => scales[Math.floor(i / block)] as number;
  const codes = Array.from(w, (value, i) => {
    const x = scaleOf(i) === 0 ? 0 : Math.fround(value / scaleOf(i));
    // Nearest level; levels are f32, so their midpoints are exact in f64. A tie goes to the lower.
    return levels.findIndex((level, k) => k === 15 || x <= Math.fround((level + (levels[k + 1] as number)) / 2));
  });
  return { codes, scales, back: Float32Array.from(codes, (code, i) => Math.fround(Math.fround(levels[code] as number) * scaleOf(i))) };
}
const packed = (codes: readonly number[]) =>
  Array.from({ length: Math.ceil(codes.length / 2) }, (_, i) => (codes[2 * i] as number) * 16 + (codes[2 * i + 1] ?? 0));

describe.each([
  [1, 1, 64],
  [3, 5, 7],
  [3, 4, 4],
  [5, 129, 64],
  [130, 192, 64],
  [3, 1000, 4096],
])('NF4 of [%i, %i] in blocks of %i', (rows, columns, block) => {
  const w = values(rows * columns, 3);
  if (w.length > 3 * block) w.fill(0, block, 2 * block);
  const want = nf4(w, block);

  test('codes, scales, and any part back', () => {
    const before = ops.handles();
    const [codes, scales] = pair(run('RowsmithQuantizeNf4', [upload([rows, columns], w)], 2, block));
    expect(readBytes(codes)).toEqual(packed(want.codes));
    expect(read(scales)).toEqual(want.scales);
    const [none, noLevels] = [bytes([]), upload([0], new Float32Array(0))];
    const inputs = (start: number, count: number) => [codes, scales, none, noLevels, upload([3], Int32Array.of(start, count, columns))];
    for (const [start, count] of [
      [0, rows],
      [rows >> 1, 1],
      [rows >> 2, rows - (rows >> 2)],
    ] as const) {
      const [part] = run('RowsmithDequantizeNf4', inputs(start, count), 1, block);
      if (!part) throw new Error('no output');
      expect(part.shape).toEqual([count, columns]);
      expect(read(part)).toEqual(want.back.subarray(start * columns, (start + count) * columns));
      free(part);
    }
    expect(() => run('RowsmithDequantizeNf4', inputs(0, rows + 2), 1, block)).toThrow(/outside of the matrix|scales end/);
    free(codes, scales, none, noLevels);
    expect(ops.handles() - before).toBe(5); // the uploads above
  });

  test('with scales in 8 bits: level x scale + mean, each rounded', () => {
    const blocks = want.scales.length;
    const table = values(257, 9);
    const scaleCodes = Uint8Array.from({ length: blocks }, (_, b) => (b * 37) % 256);
    const own = values(Math.ceil(blocks / 256), 5);
    const inputs = [
      bytes(packed(want.codes)),
      upload([own.length], own),
      bytes(scaleCodes),
      upload([257], table),
      upload([3], Int32Array.of(0, rows, columns)),
    ];
    const [back] = run('RowsmithDequantizeNf4', inputs, 1, block);
    if (!back) throw new Error('no output');
    const scaleOf = (b: number) =>
      Math.fround(Math.fround((table[scaleCodes[b] as number] as number) * (own[b >> 8] as number)) + (table[256] as number));
    expect(read(back)).toEqual(
      Float32Array.from(want.codes, (code, i) => Math.fround(levels[code] as number) * scaleOf(Math.floor(i / block))),
    );
    free(back, ...inputs);
  });
});

/** Ties to even; no negative zero, which a code cannot hold. */
const rint = (x: number) => (Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x)) + 0;

describe.each([
  [1, 1],
  [3, 17],
  [65, 576],
])('int8 of [%i, %i]', (rows, columns) => {
  test('codes, scales, and any part back', () => {
    const w = values(rows * columns, 4);
    if (rows > 1) w.fill(0, columns, 2 * columns);
    const scales = Float32Array.from(
      { length: rows },
      (_, r) => w.subarray(r * columns, (r + 1) * columns).reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 127,
    );
    const scaleOf = (i: number) => scales[Math.floor(i / columns)] as number;
    const codes = Array.from(w, (value, i) => (scaleOf(i) === 0 ? 0 : rint(Math.fround(value / scaleOf(i)))));
    const [gotCodes, gotScales] = pair(run('RowsmithQuantizeInt8', [upload([rows, columns], w)], 2));
    expect(readBytes(gotCodes)).toEqual(codes.map((code) => code + 128));
    expect(read(gotScales)).toEqual(scales);
    const start = rows >> 1;
    const place = upload([3], Int32Array.of(start, rows - start, columns));
    const [back] = run('RowsmithDequantizeInt8', [gotCodes, gotScales, place], 1);
    if (!back) throw new Error('no output');
    expect(read(back)).toEqual(Float32Array.from(codes, (code, i) => code * scaleOf(i)).subarray(start * columns));
    free(gotCodes, gotScales, place, back);
  });
});

test('a tie goes to the lower level, a NaN or an infinity shows in the scale', () => {
  const tie = Math.fround(0.03979014977812767);
  const above = Math.fround(tie * (1 + 2 ** -23));
  const [codes, scales] = pair(run('RowsmithQuantizeNf4', [upload([1, 4], Float32Array.of(1, tie, above, -tie))], 2, 64));
  expect(readBytes(codes)).toEqual(packed([15, 7, 8, 7]));
  const [, damaged] = pair(run('RowsmithQuantizeNf4', [upload([1, 4], Float32Array.of(0, Number.NaN, 0, Number.POSITIVE_INFINITY))], 2, 2));
  expect(read(damaged)).toEqual(Float32Array.of(Number.NaN, Number.POSITIVE_INFINITY));
  free(codes, scales, damaged);
});
