import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isEncoder } from '@rowsmith/contracts';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { importFolder } from '../folder/import-folder.js';
import { addImported } from '../packed/add-model.js';
import { openPackedModel } from '../packed/open-packed.js';
import { openSafetensors } from '../safetensors/read.js';
import type { TensorSource } from '../tensor-source.js';
import { bertModel } from './bert.js';

const folders = fileURLToPath(new URL('../../../engine/fixtures/encoders/', import.meta.url));
let store = '';
beforeAll(async () => {
  store = await mkdtemp(join(tmpdir(), 'hf-bert-'));
});
afterAll(() => rm(store, { recursive: true }));

const encoder = {
  ...{ kind: 'encoder', family: 'bert', hidden_size: 24, n_layers: 2, n_heads: 4, intermediate_size: 36, vocab_size: 40 },
  ...{ max_position_embeddings: 32, type_vocab_size: 2, norm_eps: 1e-12, activation: 'gelu', pooler: true, pad_token_id: 0 },
};

it.each([
  ['bert-classifier', 'bert.', { ...encoder, classes: ['no', 'maybe', 'yes'] }],
  ['bert-plain', '', encoder],
] as const)('%s: its description, and each packed tensor is the source, bit for bit', async (name, prefix, config) => {
  const imported = await importFolder(join(folders, name));
  expect(imported.config).toEqual(config);
  const { dir } = await addImported(imported, { store, id: name, now: () => 0 });
  const model = await openPackedModel(dir);
  expect(isEncoder(model.index.config)).toBe(true);
  const file = await openSafetensors(join(folders, name, 'model.safetensors'));
  const source = async (...names: string[]) => {
    const parts: number[] = [];
    for (const each of names) parts.push(...(await file.readF32(each)));
    return parts;
  };
  const layer = `${prefix}encoder.layer.1`;
  const self = (kind: string) => ['query', 'key', 'value'].map((part) => `${layer}.attention.self.${part}.${kind}`);
  const expected: Record<string, number[]> = {
    embed: await source(`${prefix}embeddings.word_embeddings.weight`),
    positions: await source(`${prefix}embeddings.position_embeddings.weight`),
    types: await source(`${prefix}embeddings.token_type_embeddings.weight`),
    embed_norm_bias: await source(`${prefix}embeddings.LayerNorm.bias`),
    'layers.1.qkv': await source(...self('weight')),
    'layers.1.qkv_bias': await source(...self('bias')),
    'layers.1.o': await source(`${layer}.attention.output.dense.weight`),
    'layers.1.attn_norm': await source(`${layer}.attention.output.LayerNorm.weight`),
    'layers.1.up': await source(`${layer}.intermediate.dense.weight`),
    'layers.1.down_bias': await source(`${layer}.output.dense.bias`),
    'layers.1.mlp_norm_bias': await source(`${layer}.output.LayerNorm.bias`),
    pooler: await source(`${prefix}pooler.dense.weight`),
  };
  for (const [tensor, values] of Object.entries(expected)) expect(Array.from(await model.readTensor(tensor)), tensor).toEqual(values);
  // Embeddings and their norm, two layers of four linears and two norms, heads; all but three with a bias.
  expect(Object.keys(model.index.tensors)).toHaveLength(3 + 2 + 2 * 12 + 2 + (prefix ? 2 : 0));
  await file.close();
});

it('what is not understood is refused by name', async () => {
  const json = JSON.parse(await readFile(join(folders, 'bert-classifier', 'config.json'), 'utf8')) as Record<string, unknown>;
  const file = await openSafetensors(join(folders, 'bert-classifier', 'model.safetensors'));
  const read = (change: object, tensors: TensorSource = file) => bertModel({ ...json, ...change }, tensors, 'config.json');
  const plan =
    (change: object, tensors: TensorSource = file) =>
    () =>
      read(change, tensors).plan('model');
  expect(plan({})).not.toThrow();
  expect(plan({ embedding_size: 12 })).toThrow(/"embedding_size" is not understood for BertForSequenceClassification/);
  expect(plan({ position_embedding_type: 'relative_key' })).toThrow(/position_embedding_type/);
  expect(plan({ hidden_act: 'gelu_new' })).toThrow(/hidden_act/);
  expect(plan({ is_decoder: true })).toThrow(/is_decoder/);
  expect(plan({ problem_type: 'multi_label_classification' })).toThrow(/problem_type/);
  expect(plan({ id2label: { 0: 'score' } })).toThrow(/regression/);
  expect(plan({ id2label: { 0: 'a', 2: 'b' } })).toThrow(/id2label does not name the classes 0 to 1/);
  expect(plan({ id2label: { 0: 'a', 1: 'b' } })).toThrow(/classifier.weight has shape \[3,24\], the config needs \[2,24\]/);
  expect(plan({ num_attention_heads: 5 })).toThrow(/multiple of 5 heads/);
  expect(plan({ model_type: 'roberta' })).toThrow(/model_type "roberta"/);
  const tensors = new Map(file.tensors);
  tensors.set('bert.adapter.weight', { shape: [1], dtype: 'F32' });
  expect(plan({}, { ...file, tensors })).toThrow(/"bert.adapter.weight" is not part of a BERT of 2 layers/);
  // Below a language head: it stays behind, and a model without a pooler says so.
  const language = new Map([...file.tensors].filter(([name]) => !name.startsWith('classifier') && !name.includes('pooler')));
  language.set('cls.predictions.bias', { shape: [40], dtype: 'F32' });
  const masked = read({ architectures: ['BertForMaskedLM'] }, { ...file, tensors: language });
  expect(masked.config).toMatchObject({ pooler: false });
  expect(masked.config.classes).toBeUndefined();
  expect(masked.plan('model').map(({ name }) => name)).not.toContain('pooler');
  await file.close();
});
