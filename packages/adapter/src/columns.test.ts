/** Columns, alone and crossing rows: file, export, and the proof that the export is what was trained. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { columnsKey, type ModuleRows, type RowDelta } from '@rowsmith/contracts';
import { encodeSafetensors, openSafetensors, type TensorToWrite } from '@rowsmith/hf';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { exportPeft } from './peft-export.js';
import { encodeRows, readRows } from './rows-file.js';
import { baseSha256, down1, moduleRows, q0 } from './sample-delta.js';
import { type VerifyInput, verifyPeftExport } from './verify-export.js';

let dir = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'rowsmith-columns-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

const update = (length: number, seed: number) => Float32Array.from({ length }, (_, i) => Math.sin(seed + i) / 3);
/** q0 [6, 4]: rows 0, 3, 5 and columns 1, 2; down1 [4, 7]: columns 0, 6 only. */
const sample = (): RowDelta =>
  new Map<string, ModuleRows>([
    [q0, { ...moduleRows(6, 4, [0, 3, 5], 1), columns: Int32Array.of(1, 2), columnDelta: update(2 * 6, 3) }],
    [
      down1,
      {
        ...{ indices: new Int32Array(0), delta: new Float32Array(0), outFeatures: 4, inFeatures: 7 },
        ...{ columns: Int32Array.of(0, 6), columnDelta: update(2 * 4, 4) },
      },
    ],
  ]);
const options = { baseModel: 'base', revision: null, baseSha256, modelLayers: 2 };
const [configPath, weightsPath] = ['adapter_config.json', 'adapter_model.safetensors'].map((name) => () => join(dir, name)) as [
  () => string,
  () => string,
];
const write = () => {
  for (const [name, bytes] of exportPeft(sample(), options).files) writeFileSync(join(dir, name), bytes);
};

const baseOf = ({ outFeatures, inFeatures }: ModuleRows) =>
  Float32Array.from({ length: outFeatures * inFeatures }, (_, i) => Math.cos(3 * i));
/** Whole tuned matrix by the definition: f32(W + f32(D + E)). */
function tunedOf(rows: ModuleRows): Float32Array {
  const { indices, delta, columns = new Int32Array(0), columnDelta, outFeatures, inFeatures } = rows;
  return baseOf(rows).map((w, at) => {
    const [row, column] = [Math.floor(at / inFeatures), at % inFeatures];
    const [k, l] = [indices.indexOf(row), columns.indexOf(column)];
    const d = k < 0 ? 0 : (delta[k * inFeatures + column] as number);
    const e = l < 0 ? 0 : (columnDelta?.[l * outFeatures + row] as number);
    return w + Math.fround(d + e);
  });
}
const rowsOf = (matrix: Float32Array, { indices, inFeatures }: ModuleRows) =>
  Float32Array.from(Array.from(indices).flatMap((row) => [...matrix.subarray(row * inFeatures, (row + 1) * inFeatures)]));
const columnsOf = (matrix: Float32Array, { columns, outFeatures, inFeatures }: ModuleRows) =>
  Float32Array.from(
    Array.from(columns ?? []).flatMap((c) => Array.from({ length: outFeatures }, (_, row) => matrix[row * inFeatures + c] as number)),
  );
const of = (name: string) => sample().get(name) as ModuleRows;

function input(): VerifyInput {
  const tuned = [...sample()].flatMap(([name, rows]) => [
    [name, rowsOf(tunedOf(rows), rows)] as const,
    [columnsKey(name), columnsOf(tunedOf(rows), rows)] as const,
  ]);
  return {
    configPath: configPath(),
    weightsPath: weightsPath(),
    delta: sample(),
    baseRows: async (name) => rowsOf(baseOf(of(name)), of(name)),
    baseColumns: async (name) => columnsOf(baseOf(of(name)), of(name)),
    tunedRows: new Map(tuned),
  };
}

it('goes through the row-delta file unchanged', async () => {
  const path = join(dir, 'rows.safetensors');
  writeFileSync(path, encodeRows(sample(), baseSha256));
  expect(await readRows(path, { baseSha256 })).toEqual(new Map([...sample()].sort(([a], [b]) => (a < b ? -1 : 1))));
});

it.each<[string, Partial<ModuleRows>, RegExp]>([
  ['a column outside the matrix', { columns: Int32Array.of(1, 4) }, /column 4 is outside 0 to 3/],
  ['descending columns', { columns: Int32Array.of(2, 1) }, /column 1 follows column 2/],
  ['an update of another size', { columnDelta: update(8, 1) }, /delta has 8 numbers, 2 columns of 6 are needed/],
  ['NaN', { columnDelta: update(12, 1).fill(Number.NaN, 7, 8) }, /column 2, row 1 is NaN/],
])('refuses %s', (_what, change, message) => {
  expect(() => encodeRows(new Map([[q0, { ...of(q0), ...change }]]), baseSha256)).toThrow(message);
});

it('the export: W + B·A is the trained matrix in every bit, the rank rows + columns', async () => {
  write();
  const file = await openSafetensors(weightsPath());
  for (const [name, rows] of sample()) {
    const { outFeatures, inFeatures } = rows;
    const a = await file.readF32(`base_model.model.${name}.lora_A.weight`);
    const b = await file.readF32(`base_model.model.${name}.lora_B.weight`);
    expect(a.length).toBe(5 * inFeatures);
    const merged = baseOf(rows).map((w, at) => {
      let sum = 0;
      for (let k = 0; k < 5; k++)
        sum = Math.fround(
          sum + Math.fround((b[Math.floor(at / inFeatures) * 5 + k] as number) * (a[k * inFeatures + (at % inFeatures)] as number)),
        );
      return w + sum;
    });
    expect(merged).toEqual(tunedOf(rows));
    expect(merged.length).toBe(outFeatures * inFeatures);
  }
  await file.close();
  expect(await verifyPeftExport(input())).toEqual({ max_abs_error: 0, modules: 2 });
});

const a = (module: string) => `base_model.model.${module}.lora_A.weight`;
const b = (module: string) => `base_model.model.${module}.lora_B.weight`;

it.each<[string, string, string, number, number, string, RegExp]>([
  ['another column', q0, 'a', 3 * 4 + 1, 0, 'bad_export', /lora_A of .* names other columns/],
  ['a second column', down1, 'a', 7 + 2, 1, 'bad_export', /lora_A of .* names other columns/],
  ['a row where only columns were trained', down1, 'b', 4, 1, 'bad_export', /nothing was trained/],
  ['another E beside the rows', q0, 'b', 1 * 5 + 3, 0.25, 'export_differs', /differs/],
  ['another E in a crossing', q0, 'b', 3 * 5 + 4, 0.25, 'export_differs', /differs/],
  ['another D in a crossing', q0, 'a', 1 * 4 + 2, 0.25, 'export_differs', /differs/],
])('finds %s in the files', async (_what, module, matrix, at, value, code, message) => {
  write();
  const file = await openSafetensors(weightsPath());
  const tensors = new Map<string, TensorToWrite>();
  for (const [name, { shape }] of file.tensors) tensors.set(name, { shape, data: await file.readF32(name) });
  await file.close();
  const data = tensors.get(matrix === 'a' ? a(module) : b(module))?.data as Float32Array;
  data[at] = value;
  writeFileSync(weightsPath(), encodeSafetensors(tensors, { format: 'pt' }));
  await expect(verifyPeftExport(input())).rejects.toThrow(message);
  await expect(verifyPeftExport(input())).rejects.toMatchObject({ code });
});
