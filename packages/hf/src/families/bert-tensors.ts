import type { EncoderConfig } from '@rowsmith/contracts';
import { ModelError, quoted } from '../errors.js';
import type { TensorSource } from '../tensor-source.js';
import type { PlannedTensor } from './packed-plan.js';

export interface BertTensors {
  readonly hasPooler: boolean;
  /** Throws ModelError `bad_weights`, `unsupported`. */
  readonly plan: (config: EncoderConfig, file: string) => readonly PlannedTensor[];
}

/** dropped: prefixes of tensors that are left behind. A BertModel's names lack the prefix `bert.`, and old files call norms' numbers gamma and beta. */
export function bertTensors(source: TensorSource, dropped: readonly string[]): BertTensors {
  const prefix = source.tensors.has('bert.embeddings.word_embeddings.weight') ? 'bert.' : '';
  return {
    hasPooler: source.tensors.has(`${prefix}pooler.dense.weight`),
    plan: (config, file) => planOf(source, prefix, dropped, config, file),
  };
}

function planOf(source: TensorSource, prefix: string, dropped: readonly string[], config: EncoderConfig, file: string): PlannedTensor[] {
  const { hidden_size: C, intermediate_size: F, vocab_size: V, max_position_embeddings: P, type_vocab_size: Y } = config;
  // A buffer that some versions wrote: 0, 1, 2, ...
  const used = new Set([`${prefix}embeddings.position_ids`]);
  const plan: PlannedTensor[] = [];
  const put = (name: string, shape: readonly number[], from: readonly string[]) => {
    const rows = (shape[0] ?? 0) / from.length;
    const parts = from.map((wanted) => {
      const found = source.tensors.has(wanted)
        ? wanted
        : wanted.replace(/LayerNorm\.weight$/, 'LayerNorm.gamma').replace(/LayerNorm\.bias$/, 'LayerNorm.beta');
      const info = source.tensors.get(found);
      if (!info) throw new ModelError('bad_weights', `tensor ${wanted} is missing`, { file });
      const needed = [rows, ...shape.slice(1)];
      if (info.shape.join() !== needed.join())
        throw new ModelError('bad_weights', `tensor ${found} has shape [${info.shape}], the config needs [${needed}]`, { file });
      used.add(found);
      return { name: found, rows, width: shape[1] ?? 1 };
    });
    plan.push({ name, shape, parts });
  };
  const both = (name: string, shape: readonly number[], ...modules: string[]) => {
    put(
      name,
      shape,
      modules.map((module) => `${module}.weight`),
    );
    put(
      `${name}_bias`,
      shape.slice(0, 1),
      modules.map((module) => `${module}.bias`),
    );
  };
  put('embed', [V, C], [`${prefix}embeddings.word_embeddings.weight`]);
  put('positions', [P, C], [`${prefix}embeddings.position_embeddings.weight`]);
  put('types', [Y, C], [`${prefix}embeddings.token_type_embeddings.weight`]);
  both('embed_norm', [C], `${prefix}embeddings.LayerNorm`);
  for (let i = 0; i < config.n_layers; i++) {
    const layer = `${prefix}encoder.layer.${i}`;
    both(`layers.${i}.qkv`, [3 * C, C], ...['query', 'key', 'value'].map((part) => `${layer}.attention.self.${part}`));
    both(`layers.${i}.o`, [C, C], `${layer}.attention.output.dense`);
    both(`layers.${i}.attn_norm`, [C], `${layer}.attention.output.LayerNorm`);
    both(`layers.${i}.up`, [F, C], `${layer}.intermediate.dense`);
    both(`layers.${i}.down`, [C, F], `${layer}.output.dense`);
    both(`layers.${i}.mlp_norm`, [C], `${layer}.output.LayerNorm`);
  }
  if (config.pooler) both('pooler', [C, C], `${prefix}pooler.dense`);
  if (config.classes) both('classifier', [config.classes.length, C], 'classifier');
  for (const name of source.tensors.keys())
    if (!used.has(name) && !dropped.some((start) => name.startsWith(start)))
      throw new ModelError('unsupported', `tensor ${quoted(name)} is not part of a BERT of ${config.n_layers} layers`, { file });
  return plan;
}
