import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { columnsKey, type ModuleRows, type RowDelta } from '@rowsmith/contracts';
import { openSafetensors } from '@rowsmith/hf';
import { afterEach, expect, test } from 'vitest';
import type { Placements } from './fused-modules.js';
import { exportPeft } from './peft-export.js';
import { sampleDelta } from './sample-delta.js';
import { verifyPeftExport } from './verify-export.js';

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true });
});

const q = 'model.layers.0.self_attn.q_proj';
const v = 'model.layers.0.self_attn.v_proj';
const o = 'model.layers.0.self_attn.o_proj';
const fused = 'model.layers.0.self_attn.qkv_proj';
const inFeatures = 3;
const values = (count: number, start: number) => Float32Array.from({ length: count }, (_, i) => start + i / 8);
const rows = (outFeatures: number, indices: number[], columns: number[] = []): ModuleRows => ({
  ...{ outFeatures, inFeatures, indices: Int32Array.from(indices), delta: values(indices.length * inFeatures, 1) },
  ...(columns.length > 0 && { columns: Int32Array.from(columns), columnDelta: values(columns.length * outFeatures, 2) }),
});
/** q has 4 rows, k 2, v 2: v begins at row 6 of 8. Both q and v train column 1. */
const delta: RowDelta = new Map([
  [q, rows(4, [0, 3], [1])],
  [v, rows(2, [1], [0, 1])],
  [o, rows(2, [0])],
]);
const placements: Placements = new Map([
  [q, { module: fused, rowOffset: 0, outFeatures: 8 }],
  [v, { module: fused, rowOffset: 6, outFeatures: 8 }],
]);
const options = { baseModel: 'phi', revision: null, baseSha256: '0'.repeat(64), modelLayers: 1 };

async function exported(at: Placements = placements) {
  const folder = await mkdtemp(join(tmpdir(), 'rowsmith-adapter-'));
  folders.push(folder);
  const { rank, files } = exportPeft(delta, { ...options, placements: at });
  for (const [name, bytes] of files) await writeFile(join(folder, name), bytes);
  return { rank, files, configPath: join(folder, 'adapter_config.json'), weightsPath: join(folder, 'adapter_model.safetensors') };
}

/** B·A of a module of the export, [out, in]. */
async function product(path: string, module: string, out: number, rank: number): Promise<number[][]> {
  const file = await openSafetensors(path);
  const a = await file.readF32(`base_model.model.${module}.lora_A.weight`);
  const b = await file.readF32(`base_model.model.${module}.lora_B.weight`);
  await file.close();
  return Array.from({ length: out }, (_, i) =>
    Array.from({ length: inFeatures }, (_, j) =>
      Array.from({ length: rank }, (_, k) => (b[i * rank + k] as number) * (a[k * inFeatures + j] as number)).reduce((x, y) => x + y, 0),
    ),
  );
}
/** Scatter(D) + Scatter(E), [out, in], by the definition. */
function update({ outFeatures, indices, delta: d, columns, columnDelta }: ModuleRows): number[][] {
  const sum = Array.from({ length: outFeatures }, () => Array.from({ length: inFeatures }, () => 0));
  indices.forEach((row, k) => {
    for (let j = 0; j < inFeatures; j++) (sum[row] as number[])[j] = d[k * inFeatures + j] as number;
  });
  columns?.forEach((column, l) => {
    for (let i = 0; i < outFeatures; i++) {
      const row = sum[i] as number[];
      row[column] = (row[column] as number) + (columnDelta?.[l * outFeatures + i] as number);
    }
  });
  return sum;
}

test('parts of a fused module become one LoRA whose product holds each update in its block', async () => {
  const { rank, files, weightsPath } = await exported();
  expect(rank).toBe(5); // rows 2 + 1, columns {0, 1}
  const zeros = [0, 0].map(() => [0, 0, 0]);
  const expected = [...update(delta.get(q) as ModuleRows), ...zeros, ...update(delta.get(v) as ModuleRows)];
  expect(await product(weightsPath, fused, 8, rank)).toEqual(expected);
  expect(await product(weightsPath, o, 2, rank)).toEqual(update(delta.get(o) as ModuleRows));
  const config = JSON.parse(Buffer.from(files.get('adapter_config.json') as Uint8Array).toString()) as { target_modules: string[] };
  expect(config.target_modules).toEqual(['o_proj', 'qkv_proj']);
});

function check(files: { configPath: string; weightsPath: string }, at: Placements = placements) {
  const zero = (name: string, of: (rows: ModuleRows) => number) => Promise.resolve(new Float32Array(of(delta.get(name) as ModuleRows)));
  const tunedRows = new Map<string, Float32Array>();
  for (const [name, module] of delta) {
    const whole = update(module);
    tunedRows.set(name, Float32Array.from(Array.from(module.indices).flatMap((row) => whole[row] as number[])));
    if (module.columns)
      tunedRows.set(columnsKey(name), Float32Array.from(Array.from(module.columns).flatMap((j) => whole.map((row) => row[j] as number))));
  }
  return verifyPeftExport({
    ...files,
    ...{ delta, placements: at, tunedRows },
    baseRows: (name) => zero(name, ({ indices }) => indices.length * inFeatures),
    baseColumns: (name) => zero(name, ({ columns, outFeatures }) => (columns?.length ?? 0) * outFeatures),
  });
}

test('it verifies, and an export that puts a part elsewhere does not', async () => {
  expect(await check(await exported())).toEqual({ max_abs_error: 0, modules: 3 });
  const shifted = new Map(placements).set(v, { module: fused, rowOffset: 4, outFeatures: 8 });
  await expect(check(await exported(shifted))).rejects.toThrow(/lora_B/);
});

test('without placements nothing changes', () => {
  const plain = sampleDelta();
  const bytes = (at?: Placements) =>
    exportPeft(plain, { ...options, ...(at && { placements: at }) }).files.get('adapter_model.safetensors');
  expect(bytes(new Map())).toEqual(bytes());
});
