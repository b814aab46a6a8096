/** Weights of the families: folders of random models that transformers wrote. */
import { readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isEncoder } from '@rowsmith/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { importFolder } from '../folder/import-folder.js';
import { addImported } from '../packed/add-model.js';
import { openPackedModel } from '../packed/open-packed.js';
import { openSafetensors } from '../safetensors/read.js';

describe('weights of the families', () => {
  const folders = fileURLToPath(new URL('../../../engine/fixtures/families/', import.meta.url));
  let store = '';
  beforeAll(async () => {
    store = await mkdtemp(join(tmpdir(), 'hf-families-'));
  });
  afterAll(() => rm(store, { recursive: true }));

  it.each(readdirSync(folders))('%s: each packed tensor is the source, bit for bit', async (name) => {
    const imported = await importFolder(join(folders, name));
    const { dir } = await addImported(imported, { store, id: name, now: () => 0 });
    const model = await openPackedModel(dir);
    const file = await openSafetensors(join(folders, name, 'model.safetensors'));
    const left = new Set(file.tensors.keys());
    const source = async (...names: string[]) => {
      const parts: number[] = [];
      for (const part of names) {
        left.delete(part);
        for (const x of await file.readF32(part)) parts.push(x);
      }
      return parts;
    };
    const gemma = name.startsWith('gemma');
    const norm = async (part: string) => (await source(`${part}.weight`)).map((w) => (gemma ? Math.fround(1 + w) : w));
    const { config } = imported;
    if (isEncoder(config)) throw new Error(`${name} is an encoder`);
    const { tensors } = model.index;
    const expected = new Map<string, number[]>([
      ['embed', await source('model.embed_tokens.weight')],
      ['final_norm', await norm('model.norm')],
    ]);
    if (!config.tie_embeddings) expected.set('lm_head', await source('lm_head.weight'));
    for (let i = 0; i < config.n_layers; i++) {
      const hf = `model.layers.${i}.`;
      const add = (packed: string, values: number[]) => expected.set(`layers.${i}.${packed}`, values);
      const fused = name === 'phi3';
      const attention = fused ? ['self_attn.qkv_proj'] : ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'];
      const mlp = fused ? ['mlp.gate_up_proj'] : ['mlp.gate_proj', 'mlp.up_proj'];
      const all = (kind: string, parts: readonly string[]) => source(...parts.map((part) => `${hf}${part}.${kind}`));
      add('attn_norm', await norm(`${hf}input_layernorm`));
      add('qkv', await all('weight', attention));
      add('o', await all('weight', ['self_attn.o_proj']));
      add('gate_up', await all('weight', mlp));
      add('down', await all('weight', ['mlp.down_proj']));
      add('mlp_norm', await norm(hf + (gemma ? 'pre_feedforward_layernorm' : 'post_attention_layernorm')));
      if (gemma) {
        add('attn_post_norm', await norm(`${hf}post_attention_layernorm`));
        add('mlp_post_norm', await norm(`${hf}post_feedforward_layernorm`));
      }
      if (name === 'qwen3' || name === 'gemma3') for (const x of ['q', 'k']) add(`${x}_norm`, await norm(`${hf}self_attn.${x}_norm`));
      if (name.startsWith('qwen2') || name === 'llama-biased') add('qkv_bias', await all('bias', attention));
      if (name === 'llama-biased') {
        add('o_bias', await all('bias', ['self_attn.o_proj']));
        add('gate_up_bias', await all('bias', mlp));
        add('down_bias', await all('bias', ['mlp.down_proj']));
      }
    }
    await file.close();
    expect([...left]).toEqual([]);
    expect(Object.keys(tensors).sort()).toEqual([...expected.keys()].sort());
    for (const [tensor, values] of expected) expect(Array.from(await model.readTensor(tensor)), tensor).toEqual(values);
  });
});
