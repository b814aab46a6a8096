import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ModuleRows, RowDelta } from '@rowsmith/contracts';
import { encodeSafetensors, openSafetensors } from '@rowsmith/hf';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { adapterConfigName, adapterWeightsName, exportPeft } from './peft-export.js';
import { baseSha256, moduleRows } from './sample-delta.js';
import type { BaseHeads } from './saved-heads.js';
import { verifyPeftExport } from './verify-export.js';

const query = 'bert.encoder.layer.0.attention.self.query';
const head = (out: number, width: number, seed: number): ModuleRows => ({
  ...moduleRows(
    out,
    width,
    Array.from({ length: out }, (_, i) => i),
    seed,
  ),
  biasDelta: Float32Array.from({ length: out }, (_, i) => i / 8),
});
const delta: RowDelta = new Map([
  [query, moduleRows(4, 4, [1, 2], 1)],
  ['bert.pooler.dense', head(4, 4, 2)],
  ['classifier', head(2, 4, 3)],
]);
const heads: BaseHeads = new Map([
  ['bert.pooler.dense', { weight: new Float32Array(16).fill(0.25), bias: new Float32Array(4).fill(-1) }],
  ['classifier', { weight: new Float32Array(8), bias: new Float32Array(2) }],
]);
const classes = ['no', 'yes'];
const { files, rank } = exportPeft(delta, { baseModel: 'bert', revision: null, baseSha256, modelLayers: 1, heads, classes });

let dir = '';
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'rowsmith-heads-'));
});
afterAll(() => rm(dir, { recursive: true }));

const added = (a: ArrayLike<number>, b: ArrayLike<number>) => Float32Array.from(a, (value, i) => value + (b[i] as number));
const of = (name: string) => delta.get(name) as ModuleRows;
const baseQuery = new Float32Array(8).fill(0.5);
const tunedRows = new Map([
  [query, added(baseQuery, of(query).delta)],
  ...(['bert.pooler.dense', 'classifier'] as const).flatMap((name) => [
    [name, added(heads.get(name)?.weight ?? [], of(name).delta)] as const,
    [`${name}.biases`, added(heads.get(name)?.bias ?? [], of(name).biasDelta ?? [])] as const,
  ]),
]);
const verify = async (tensors: Uint8Array, config = files.get(adapterConfigName) as Uint8Array, tuned = tunedRows) => {
  await writeFile(join(dir, adapterConfigName), config);
  await writeFile(join(dir, adapterWeightsName), tensors);
  const paths = { configPath: join(dir, adapterConfigName), weightsPath: join(dir, adapterWeightsName) };
  return verifyPeftExport({ ...paths, delta, heads, tunedRows: tuned, baseRows: async () => baseQuery });
};

it('heads are stored whole under their names, and named in the configuration', async () => {
  expect(rank).toBe(2);
  const config = JSON.parse(new TextDecoder().decode(files.get(adapterConfigName)));
  expect(config).toMatchObject({ task_type: 'SEQ_CLS', modules_to_save: ['classifier', 'pooler'], bias: 'none', target_modules: [query] });
  expect(await verify(files.get(adapterWeightsName) as Uint8Array)).toEqual({ max_abs_error: 0, modules: 3 });
  const file = await openSafetensors(join(dir, adapterWeightsName));
  expect([...file.tensors.keys()].sort()).toEqual([
    `base_model.model.${query}.lora_A.weight`,
    `base_model.model.${query}.lora_B.weight`,
    'base_model.model.bert.pooler.dense.bias',
    'base_model.model.bert.pooler.dense.weight',
    'base_model.model.classifier.bias',
    'base_model.model.classifier.weight',
  ]);
  expect(await file.readF32('base_model.model.bert.pooler.dense.bias')).toEqual(Float32Array.of(-1, -0.875, -0.75, -0.625));
  await file.close();
  const readme = new TextDecoder().decode(files.get('README.md'));
  expect(readme).toContain('classes = ["no","yes"]');
  expect(readme).toContain('AutoModelForSequenceClassification');
  expect(readme).not.toContain('vllm');
});

it('anything else in the files is found', async () => {
  const file = await openSafetensors(join(dir, adapterWeightsName));
  const tensors = new Map<string, { shape: readonly number[]; data: Float32Array }>();
  for (const [name, { shape }] of file.tensors) tensors.set(name, { shape, data: await file.readF32(name) });
  await file.close();
  const changed = (name: string, data?: Float32Array) => {
    const copy = new Map(tensors);
    if (data) copy.set(name, { shape: tensors.get(name)?.shape ?? [], data });
    else copy.delete(name);
    return encodeSafetensors(copy, { format: 'pt' });
  };
  const bias = 'base_model.model.classifier.bias';
  await expect(verify(changed(bias, Float32Array.of(0, 0.25)))).rejects.toThrow(
    'differs from the trained rows by up to 0.125, first in classifier',
  );
  await expect(verify(changed(bias))).rejects.toThrow(/classifier.bias is missing/);
  await expect(verify(changed('extra', new Float32Array(1)))).rejects.toThrow();
  const config = JSON.parse(await readFile(join(dir, adapterConfigName), 'utf8'));
  const text = new TextEncoder().encode(JSON.stringify({ ...config, modules_to_save: ['classifier'] }));
  await expect(verify(files.get(adapterWeightsName) as Uint8Array, text)).rejects.toThrow(/saves \[classifier\] whole/);
  const { biasDelta: _, ...bare } = of('classifier');
  const partial = new Map(delta).set('classifier', bare);
  expect(() => exportPeft(partial, { baseModel: 'bert', revision: null, baseSha256, modelLayers: 1, heads, classes })).toThrow(
    /classifier: a head is trained whole/,
  );
});
