/** Bias entries trained with their rows: file, export, and what is refused. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { biasesKey, type RowDelta } from '@rowsmith/contracts';
import { encodeSafetensors, openSafetensors, type TensorToWrite } from '@rowsmith/hf';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { exportPeft, type PeftExport, peftBias } from './peft-export.js';
import { encodeRows, readRows } from './rows-file.js';
import { baseSha256, down1, moduleRows, q0 } from './sample-delta.js';
import { verifyPeftExport } from './verify-export.js';

let dir = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'rowsmith-biases-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

/** q0 [6, 4] has a bias, of which the entries of rows 0, 3 and 5 are trained; down1 has none. */
const sample = (): RowDelta =>
  new Map([
    [q0, { ...moduleRows(6, 4, [0, 3, 5], 1), biasDelta: Float32Array.of(0.5, -0.25, 1e-3) }],
    [down1, moduleRows(4, 7, [2], 2)],
  ]);
const baseBias = () => Float32Array.of(1, 2, 3, 4, 5, 6);
const tunedBias = () => Float32Array.of(1.5, 2, 3, 3.75, 5, 6 + Math.fround(1e-3));
const options = { baseModel: 'base', revision: null, baseSha256, modelLayers: 2, baseBiases: new Map([[q0, baseBias()]]) };
const path = (name: string) => join(dir, name);
const write = (made: PeftExport) => {
  for (const [name, bytes] of made.files) writeFileSync(path(name), bytes);
};
const verify = () => {
  const base = new Map(Array.from(sample(), ([name, { delta }]) => [name, delta.map((_, i) => Math.cos(i))]));
  const tuned = Array.from(sample(), ([name, { delta }]) => [name, delta.map((d, i) => (base.get(name)?.[i] as number) + d)] as const);
  return verifyPeftExport({
    configPath: path('adapter_config.json'),
    weightsPath: path('adapter_model.safetensors'),
    delta: sample(),
    baseRows: async (name) => base.get(name) as Float32Array,
    baseBias: async () => baseBias(),
    tunedRows: new Map([...tuned, [biasesKey(q0), Float32Array.from([0, 3, 5], (row) => tunedBias()[row] as number)]]),
  });
};

it('go through the row-delta file unchanged', async () => {
  writeFileSync(path('rows.safetensors'), encodeRows(sample(), baseSha256));
  expect(await readRows(path('rows.safetensors'), { baseSha256 })).toEqual(sample());
});

it('are exported whole, as PEFT stores a trained bias; README and configuration say so', async () => {
  const made = exportPeft(sample(), options);
  write(made);
  const file = await openSafetensors(path('adapter_model.safetensors'));
  expect(await file.readF32(peftBias(q0))).toEqual(tunedBias());
  expect(file.tensors.size).toBe(5);
  await file.close();
  const text = (name: string) => Buffer.from(made.files.get(name) as Uint8Array).toString('utf8');
  expect(JSON.parse(text('adapter_config.json'))).toMatchObject({ bias: 'lora_only' });
  expect(text('README.md')).toMatch(/3 bias entries [\s\S]*refuse adapters with biases/);
  expect(text('README.md')).not.toContain('--max-lora-rank');
  expect(await verify()).toEqual({ max_abs_error: 0, modules: 2 });
});

it.each([
  ['a trained entry', 3, 'export_differs'],
  ['an entry that was not trained', 1, 'export_differs'],
])('another value of %s is found', async (_what, at, code) => {
  write(exportPeft(sample(), options));
  const file = await openSafetensors(path('adapter_model.safetensors'));
  const tensors = new Map<string, TensorToWrite>();
  for (const [name, { shape }] of file.tensors) tensors.set(name, { shape, data: await file.readF32(name) });
  await file.close();
  (tensors.get(peftBias(q0))?.data as Float32Array)[at] = 9;
  writeFileSync(path('adapter_model.safetensors'), encodeSafetensors(tensors, { format: 'pt' }));
  await expect(verify()).rejects.toMatchObject({ code });
});

it('refuses what does not fit', () => {
  const of = (biasDelta: Float32Array): RowDelta => new Map([[q0, { ...moduleRows(6, 4, [0, 3], 1), biasDelta }]]);
  expect(() => encodeRows(of(Float32Array.of(1)), baseSha256)).toThrow(/1 updates of bias entries, 2 rows are trained/);
  expect(() => encodeRows(of(Float32Array.of(1, Number.NaN)), baseSha256)).toThrow(/the bias of row 3 is NaN/);
  expect(() => exportPeft(sample(), { ...options, baseBiases: new Map() })).toThrow(/its base bias is needed/);
});
