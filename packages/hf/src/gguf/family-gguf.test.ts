/** GGUF files of the families, written here with gguf-py's names from the folders of random models: packed, both are the same model. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type DecoderConfig, isEncoder } from '@rowsmith/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { importFolder as importAny } from '../folder/import-folder.js';
import { addImported } from '../packed/add-model.js';
import { addModel } from '../packed/add-reference.js';
import { openSafetensors } from '../safetensors/read.js';
import { buildGguf, type Field, keyF32, keyText, keyTexts, keyU32, keyU32s, tensor } from './build-gguf.js';
import { importGguf } from './import-gguf.js';

async function importFolder(folder: string) {
  const imported = await importAny(folder);
  const { config } = imported;
  if (isEncoder(config)) throw new Error(`${folder} holds an encoder`);
  return { ...imported, config };
}

interface Tensors {
  [name: string]: { readonly shape: readonly number[]; readonly data: Float32Array };
}
const reference = JSON.parse(readFileSync(new URL('../../fixtures/family-configs.json', import.meta.url), 'utf8')) as {
  gguf_names: Record<string, Record<string, string>>;
  divisors: { factor: number; theta: number; dim: number; values: number[] }[];
};
const fixture = (name: string) => fileURLToPath(new URL(`../../../engine/fixtures/families/${name}/`, import.meta.url));
let dir = '';
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'hf-gguf-'));
});
afterAll(() => rm(dir, { recursive: true }));

/** Weights of a fixture under gguf-py's names, as llama.cpp's converter changes them: rows of q and k interleaved (llama), norms plus 1 (Gemma). */
async function converted(folder: string, architecture: string, { n_layers, head_dim }: DecoderConfig): Promise<Tensors> {
  const names = reference.gguf_names[architecture] as Record<string, string>;
  const file = await openSafetensors(join(fixture(folder), 'model.safetensors'));
  const out: Tensors = {};
  for (const [name, { shape }] of file.tensors) {
    const [, base = '', kind] = /^(.*)\.(weight|bias)$/.exec(name) ?? [];
    const layer = Number(/layers\.(\d+)\./.exec(base)?.[1] ?? 0);
    expect(layer).toBeLessThan(n_layers);
    const known = names[base.replace(/layers\.\d+\./, 'layers.0.')] ?? '';
    let data = await file.readF32(name);
    if (architecture === 'llama' && /[qk]_proj$/.test(base)) {
      const width = shape[1] ?? 1;
      const old = data;
      data = old.map((_, at) => {
        const row = Math.floor(at / width) % head_dim;
        // reshape(heads, 2, D/2).swap: row 2j + s of the file is row s D/2 + j.
        const from = Math.floor(at / width) - row + (row % 2) * (head_dim / 2) + Math.floor(row / 2);
        return old[from * width + (at % width)] as number;
      });
    }
    if (architecture.startsWith('gemma') && /norm$/.test(base)) data = data.map((w) => 1 + w);
    out[`${known.replace('blk.0.', `blk.${layer}.`)}.${kind}`] = { shape, data };
  }
  await file.close();
  return out;
}

function gguf(keys: Field[][], tensors: Tensors): Buffer {
  const parts: Buffer[] = [];
  let offset = 0;
  const table = Object.entries(tensors).map(([name, { shape, data }]) => {
    const entry = tensor(name, [...shape].reverse(), 0, offset);
    const bytes = Buffer.alloc(Math.ceil(data.byteLength / 32) * 32);
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    parts.push(bytes);
    offset += bytes.length;
    return entry;
  });
  return buildGguf({ keys, tensors: table, data: Buffer.concat(parts) });
}

function keysOf(architecture: string, c: DecoderConfig, extra: Field[][]): Field[][] {
  const key = (name: string) => `${architecture}.${name}`;
  return [
    keyText('general.architecture', architecture),
    keyU32(key('block_count'), c.n_layers),
    keyU32(key('context_length'), c.max_position_embeddings),
    keyU32(key('embedding_length'), c.hidden_size),
    keyU32(key('feed_forward_length'), c.intermediate_size),
    keyU32(key('attention.head_count'), c.n_heads),
    keyU32(key('attention.head_count_kv'), c.n_kv_heads),
    keyU32(key('attention.key_length'), c.head_dim),
    keyU32(key('attention.value_length'), c.head_dim),
    keyF32(key('attention.layer_norm_rms_epsilon'), c.norm_eps),
    keyF32(key('rope.freq_base'), c.rope_theta),
    keyText('tokenizer.ggml.model', 'gpt2'),
    keyText('tokenizer.ggml.pre', 'gpt-2'),
    keyTexts(
      'tokenizer.ggml.tokens',
      Array.from({ length: c.vocab_size }, (_, i) => `t${i}`),
    ),
    keyTexts('tokenizer.ggml.merges', []),
    keyU32s('tokenizer.ggml.token_type', new Array<number>(c.vocab_size).fill(1)),
    keyU32('tokenizer.ggml.bos_token_id', 1),
    keyU32('tokenizer.ggml.eos_token_id', 2),
    keyU32('tokenizer.ggml.padding_token_id', 0),
    ...extra,
  ];
}

const factors = (values: readonly number[]) => ({ shape: [values.length], data: Float32Array.from(values) });
const short = [1.0, 1.05, 1.1, 1.2, 1.3, 1.5];
const long = [1.1, 1.4, 2.0, 3.0, 5.0, 8.0];

/** architecture, its keys beyond the usual, tensors of factors, and what of the folder's description a GGUF file cannot say. */
const cases: Record<string, [string, Field[][], Tensors, readonly (keyof DecoderConfig)[]]> = {
  llama2: ['llama', [keyU32('llama.rope.dimension_count', 8)], {}, []],
  'llama-biased': ['llama', [keyText('llama.rope.scaling.type', 'linear'), keyF32('llama.rope.scaling.factor', 4)], {}, []],
  qwen2: ['qwen2', [], {}, []],
  qwen3: ['qwen3', [], {}, []],
  gemma2: [
    'gemma2',
    [keyF32('gemma2.attn_logit_softcapping', 2), keyF32('gemma2.final_logit_softcapping', 3), keyU32('gemma2.attention.sliding_window', 9)],
    {},
    ['attention_scale'],
  ],
  gemma3: [
    'gemma3',
    [
      keyText('gemma3.rope.scaling.type', 'linear'),
      keyF32('gemma3.rope.scaling.factor', 8),
      keyU32('gemma3.attention.sliding_window', 9),
      keyU32('gemma3.attention.sliding_window_pattern', 3),
      keyF32('gemma3.rope.freq_base_swa', 100),
    ],
    {},
    ['attention_scale'],
  ],
  phi3: [
    'phi3',
    [
      keyU32('phi3.rope.dimension_count', 12),
      keyU32('phi3.rope.scaling.original_context_length', 32),
      keyF32('phi3.rope.scaling.attn_factor', Math.sqrt(1 + Math.log(4) / Math.log(32))),
    ],
    { 'rope_factors_short.weight': factors(short), 'rope_factors_long.weight': factors(long) },
    [],
  ],
};

describe('GGUF files of the families', () => {
  it.each(Object.keys(cases))('%s: the same description and the same weights as the folder', async (name) => {
    const [architecture, extra, described, unsaid] = cases[name] as (typeof cases)[string];
    const folder = await importFolder(fixture(name));
    const path = join(dir, `${name}.gguf`);
    const weights = { ...(await converted(name, architecture, folder.config)), ...described };
    await writeFile(path, gguf(keysOf(architecture, folder.config, extra), weights));
    const added = (await addModel(path, { store: join(dir, 'store'), id: `${name}-gguf`, now: () => 0 })).index;
    const wanted = (await addImported(folder, { store: join(dir, 'store'), id: name, now: () => 0 })).index;
    const sayable = Object.entries(wanted.config).filter(([field]) => !unsaid.some((u) => u === field));
    expect(added.config).toEqual(Object.fromEntries(sayable));
    expect(added.weights_sha256).toBe(wanted.weights_sha256);
    expect(added.tensors).toEqual(wanted.tensors);
  });

  const llama = async (extra: Field[][], tensors: Tensors, change: Partial<DecoderConfig> = {}) => {
    const folder = await importFolder(fixture('llama2'));
    await folder.tensors.close();
    const path = join(dir, 'llama.gguf');
    const weights = await converted('llama2', 'llama', folder.config);
    await writeFile(path, gguf(keysOf('llama', { ...folder.config, ...change }, extra), { ...weights, ...tensors }));
    const model = await importGguf(path);
    await model.tensors.close();
    return model.config;
  };

  it('takes rope_freqs.weight of Llama 3.1 for the rule that made it, and refuses any other', async () => {
    for (const { factor, theta, dim, values } of reference.divisors) {
      const config = await llama([], { 'rope_freqs.weight': factors(values) }, { head_dim: dim, rope_theta: theta });
      expect(config.ropes).toEqual([
        { theta, scaling: { kind: 'llama3', factor, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 } },
      ]);
      const other = factors(values.map((v, i) => (i === 20 ? v * 1.01 : v)));
      await expect(llama([], { 'rope_freqs.weight': other }, { head_dim: dim, rope_theta: theta })).rejects.toThrow(
        /rope_freqs\.weight holds factors of another rule/,
      );
    }
    await expect(llama([], { 'rope_freqs.weight': factors([1, 1]) })).rejects.toThrow(/rope_freqs\.weight/);
  });

  it('refuses by name what it does not compute', async () => {
    const scaled = (type: string, ...more: Field[][]) => llama([keyText('llama.rope.scaling.type', type), ...more], {});
    await expect(scaled('yarn')).rejects.toThrow(/llama\.rope\.scaling\.type = "yarn"/);
    await expect(scaled('longrope')).rejects.toThrow(/rope_factors_short\.weight and rope_factors_long\.weight/);
    await expect(scaled('none', keyF32('llama.rope.scaling.attn_factor', 1.2))).rejects.toThrow(/attn_factor/);
    await expect(llama([keyU32('llama.rope.dimension_count', 4)], {})).rejects.toThrow(/rope\.dimension_count differs from the head size/);
    await expect(llama([keyU32('llama.attention.sliding_window', 9)], {})).rejects.toThrow(/llama\.attention\.sliding_window = 9/);
    await expect(llama([], { 'blk.0.attn_q.bias': factors([1]) })).rejects.toThrow(/has biases for attn_q only/);
  });
});

describe('split GGUF files', () => {
  const part = (i: number, n = 2) => join(dir, `split-${String(i).padStart(5, '0')}-of-${String(n).padStart(5, '0')}.gguf`);
  const numbered = (no: number, tensors: number): Field[][] => [
    keyU32('split.no', no),
    keyU32('split.count', 2),
    keyU32('split.tensors.count', tensors),
  ];
  async function split() {
    const folder = await importFolder(fixture('qwen2'));
    const all = Object.entries(await converted('qwen2', 'qwen2', folder.config));
    const keys = keysOf('qwen2', folder.config, numbered(0, all.length));
    await writeFile(part(1), gguf(keys, Object.fromEntries(all.slice(0, 5))));
    await writeFile(part(2), gguf(numbered(1, all.length), Object.fromEntries(all.slice(5))));
    return { folder, all };
  }

  it('are one model, whichever part is named', async () => {
    const { folder } = await split();
    const store = join(dir, 'split-store');
    const wanted = (await addImported(folder, { store, id: 'folder', now: () => 0 })).index;
    const first = await addModel(part(1), { store, now: () => 0 });
    const second = await addModel(part(2), { store, now: () => 0 });
    expect([first.index.id, first.index.base_sha256, second.outcome]).toEqual(['split', wanted.base_sha256, 'present']);
  });

  it('are refused when a part is missing, is another one, or holds a tensor twice', async () => {
    const { all } = await split();
    await writeFile(part(2), gguf(numbered(0, all.length), Object.fromEntries(all.slice(5))));
    await expect(importGguf(part(1))).rejects.toThrow(/00002-of-00002\.gguf: is not part 2 of 2/);
    await writeFile(part(2), gguf(numbered(1, all.length), Object.fromEntries(all.slice(4))));
    await expect(importGguf(part(1))).rejects.toThrow(/is in another part, too/);
    await writeFile(part(2), gguf(numbered(1, all.length), Object.fromEntries(all.slice(6))));
    await expect(importGguf(part(1))).rejects.toThrow(/the parts hold \d+ tensors, split\.tensors\.count is/);
    await rm(part(2));
    await expect(importGguf(part(1))).rejects.toThrow(/split-00002-of-00002\.gguf: does not exist/);
  });
});
