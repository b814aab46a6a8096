/** Test support: the models of fixtures/encoders in the packed layout, and what transformers computed (fixtures/make-encoder-fixture.py). */
import { readFileSync } from 'node:fs';
import type { EncoderConfig } from '@rowsmith/contracts';
import type { Batch } from '../models/causal-lm.js';
import type { EncoderInMemory } from '../models/weights.js';
import { collate } from '../train/collate.js';
import { readTensors } from './family-fixture.js';

const folder = new URL('../../fixtures/encoders/', import.meta.url);

export interface EncoderFixture {
  readonly model: EncoderInMemory;
  readonly batch: Batch;
  readonly losses: readonly number[];
  readonly loss: number;
  /** `logits` [B, classes], gradients by module; see the script. */
  readonly expected: ReadonlyMap<string, Float32Array>;
}

interface Expected {
  readonly sequences: readonly { readonly ids: number[]; readonly types: number[]; readonly class: number }[];
  readonly losses: readonly number[];
  readonly loss: number;
}

export const fixtureConfig: EncoderConfig = {
  kind: 'encoder',
  family: 'bert',
  hidden_size: 24,
  n_layers: 2,
  n_heads: 4,
  intermediate_size: 36,
  vocab_size: 40,
  max_position_embeddings: 32,
  type_vocab_size: 2,
  norm_eps: 1e-12,
  activation: 'gelu',
  pooler: true,
  classes: ['no', 'maybe', 'yes'],
  pad_token_id: 0,
};

export function encoderFixture(): EncoderFixture {
  const at = (file: string) => new URL(`bert-classifier/${file}`, folder);
  const { sequences, losses, loss } = JSON.parse(readFileSync(at('expected.json'), 'utf8')) as Expected;
  const examples = sequences.map(({ ids, types, class: label }) => ({
    ids: Int32Array.from(ids),
    types: Int32Array.from(types),
    labels: new Int32Array(ids.length).fill(-100),
    label,
  }));
  const tensors = packed(readTensors(at('model.safetensors')));
  const model = { config: fixtureConfig, tensors };
  return { model, batch: collate(examples), losses, loss, expected: readTensors(at('expected.safetensors')) };
}

/** Hugging Face names to packed ones. */
function packed(files: ReadonlyMap<string, Float32Array>): ReadonlyMap<string, Float32Array> {
  const tensors = new Map<string, Float32Array>();
  const put = (name: string, ...parts: string[]) =>
    tensors.set(name, Float32Array.from(parts.flatMap((part) => Array.from(files.get(part) ?? []))));
  const both = (name: string, ...modules: string[]) => {
    put(name, ...modules.map((module) => `${module}.weight`));
    put(`${name}_bias`, ...modules.map((module) => `${module}.bias`));
  };
  put('embed', 'bert.embeddings.word_embeddings.weight');
  put('positions', 'bert.embeddings.position_embeddings.weight');
  put('types', 'bert.embeddings.token_type_embeddings.weight');
  both('embed_norm', 'bert.embeddings.LayerNorm');
  for (let i = 0; i < fixtureConfig.n_layers; i++) {
    const layer = `bert.encoder.layer.${i}`;
    both(`layers.${i}.qkv`, ...['query', 'key', 'value'].map((part) => `${layer}.attention.self.${part}`));
    both(`layers.${i}.o`, `${layer}.attention.output.dense`);
    both(`layers.${i}.attn_norm`, `${layer}.attention.output.LayerNorm`);
    both(`layers.${i}.up`, `${layer}.intermediate.dense`);
    both(`layers.${i}.down`, `${layer}.output.dense`);
    both(`layers.${i}.mlp_norm`, `${layer}.output.LayerNorm`);
  }
  both('pooler', 'bert.pooler.dense');
  both('classifier', 'classifier');
  return tensors;
}
