import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { importGguf } from '../gguf/import-gguf.js';
import type { ImportedModel } from '../imported-model.js';
import { openSafetensors } from '../safetensors/read.js';
import { encodeSafetensors, type TensorToWrite } from '../safetensors/write.js';
import { addImported, defaultModelId } from './add-model.js';
import { addModel } from './add-reference.js';
import { listModels, modelStore, resolveModelDir } from './model-store.js';
import { openPackedModel } from './open-packed.js';

const fixture = (name: string) => fileURLToPath(new URL(`../../fixtures/${name}`, import.meta.url));
const gguf = fixture('tiny-llama.gguf');
let root: string;
let store: string;
let folder: string;
const options = () => ({ store, now: () => 1_700_000_000 });
const names = () => readdirSync(store).sort();

/** The fixture folder, completed with the tokenizer that the GGUF fixture carries. */
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'hf-store-'));
  store = join(root, 'models');
  folder = join(root, 'Tiny-Llama');
  mkdirSync(folder);
  for (const name of ['config.json', 'model.safetensors']) copyFileSync(join(fixture('tiny-llama'), name), join(folder, name));
  const model = await importGguf(gguf);
  await model.tensors.close();
  for (const name of ['tokenizer.json', 'tokenizer_config.json'] as const) writeFileSync(join(folder, name), model.documents[name]);
});
afterEach(() => rmSync(root, { recursive: true }));

async function weights(): Promise<Map<string, TensorToWrite>> {
  const file = await openSafetensors(join(folder, 'model.safetensors'));
  const all = new Map<string, TensorToWrite>();
  for (const [name, { shape }] of file.tensors) all.set(name, { shape, data: await file.readF32(name) });
  await file.close();
  return all;
}
const editConfig = (change: object) =>
  writeFileSync(
    join(folder, 'config.json'),
    JSON.stringify({ ...(JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as object), ...change }),
  );

describe('packing', () => {
  it('gives the same base from GGUF, from one safetensors file and from shards', async () => {
    const fromGguf = await addModel(gguf, options());
    const fromFolder = await addModel(folder, { ...options(), id: 'folder' });
    const all = [...(await weights())];
    rmSync(join(folder, 'model.safetensors'));
    const shard = (i: number) => `model-0000${i}-of-00002.safetensors`;
    writeFileSync(join(folder, shard(1)), encodeSafetensors(new Map(all.slice(0, 9))));
    writeFileSync(join(folder, shard(2)), encodeSafetensors(new Map(all.slice(9))));
    const weightMap = Object.fromEntries(all.map(([name], i) => [name, shard(i < 9 ? 1 : 2)]));
    writeFileSync(join(folder, 'model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map: weightMap }));
    const fromShards = await addModel(folder, { ...options(), id: 'shards' });
    expect(fromGguf.index.config).toEqual(fromFolder.index.config);
    expect(new Set([fromGguf, fromFolder, fromShards].map((a) => a.index.base_sha256)).size).toBe(1);
    expect(fromGguf.index.tokenizer_sha256).toBe(fromFolder.index.tokenizer_sha256);
    expect([fromGguf.index.source.kind, fromFolder.index.source.kind, fromFolder.index.source.name]).toEqual([
      'gguf',
      'folder',
      'Tiny-Llama',
    ]);
  });

  it('fuses q|k|v and gate|up by rows, at page boundaries', async () => {
    const { dir, index } = await addModel(folder, options());
    const source = await weights();
    const model = await openPackedModel(dir);
    const stacked = (...parts: string[]) => parts.flatMap((p) => [...(source.get(`model.layers.1.${p}.weight`)?.data ?? [])]);
    expect([...(await model.readTensor('layers.1.qkv'))]).toEqual(stacked('self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'));
    expect([...(await model.readTensor('layers.1.gate_up'))]).toEqual(stacked('mlp.gate_proj', 'mlp.up_proj'));
    expect([...(await model.readTensor('embed'))]).toEqual([...(source.get('model.embed_tokens.weight')?.data ?? [])]);
    expect(index.tensors['layers.1.qkv']?.shape).toEqual([64, 32]);
    expect(Object.values(index.tensors).every((t) => t.offset % 4096 === 0)).toBe(true);
    expect(readFileSync(model.weightsPath).length).toBe(index.weights_bytes);
    expect(index.parameters).toBe([...source.values()].reduce((sum, t) => sum + t.data.length, 0));
    await expect(model.readTensor('lm_head')).rejects.toThrow(/has no tensor "lm_head"/);
    await expect(model.readTensor('constructor')).rejects.toThrow(/has no tensor/);
  });

  it('keeps an output matrix of its own, and drops the copy of a tied one', async () => {
    const all = await weights();
    all.set('lm_head.weight', { shape: [268, 32], data: new Float32Array(268 * 32).fill(0.5) });
    writeFileSync(join(folder, 'model.safetensors'), encodeSafetensors(all));
    const tied = await addModel(folder, options());
    expect(tied.index.tensors['lm_head']).toBeUndefined();
    editConfig({ tie_word_embeddings: false });
    const untied = await addModel(folder, { ...options(), id: 'untied' });
    expect((await (await openPackedModel(untied.dir)).readTensor('lm_head'))[7]).toBe(0.5);
    expect(untied.index.base_sha256).not.toBe(tied.index.base_sha256);
  });

  it('verifies, and notices a changed byte in weights, tokenizer and index', async () => {
    const { dir } = await addModel(folder, options());
    await (await openPackedModel(dir)).verify();
    const flip = (name: string, at: number) => {
      const bytes = readFileSync(join(dir, name));
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      writeFileSync(join(dir, name), bytes);
    };
    flip('weights.bin', 5000);
    await expect((await openPackedModel(dir)).verify()).rejects.toThrow(/weights\.bin has SHA-256/);
    flip('weights.bin', 5000);
    flip('tokenizer_config.json', 3);
    await expect((await openPackedModel(dir)).verify()).rejects.toThrow(/tokenizer files have SHA-256/);
    const index = readFileSync(join(dir, 'index.json'), 'utf8');
    writeFileSync(join(dir, 'index.json'), index.replace('"rope_theta": 10000', '"rope_theta": 20000'));
    await expect(openPackedModel(dir)).rejects.toThrow(/base_sha256 does not belong/);
    writeFileSync(join(dir, 'index.json'), index.replace(/"offset": 36864\b/, '"offset": 36868'));
    await expect(openPackedModel(dir)).rejects.toThrow(/is misplaced/);
    writeFileSync(join(dir, 'index.json'), '{}');
    await expect(openPackedModel(dir)).rejects.toThrow(/not a packed model/);
  });
});

describe('the store', () => {
  it('takes the same model twice as one', async () => {
    expect((await addModel(folder, options())).outcome).toBe('added');
    const before = readFileSync(join(store, 'tiny-llama', 'index.json'));
    expect((await addModel(folder, { ...options(), now: () => 9 })).outcome).toBe('present');
    expect(readFileSync(join(store, 'tiny-llama', 'index.json')).equals(before)).toBe(true);
    expect(names()).toEqual(['tiny-llama']);
  });

  it('refuses another model under a used id, unless told to replace', async () => {
    await addModel(folder, options());
    editConfig({ rms_norm_eps: 1e-6 });
    await expect(addModel(folder, options())).rejects.toMatchObject({ code: 'id_in_use', fault: 'model' });
    const replaced = await addModel(folder, { ...options(), replace: true });
    expect(replaced.outcome).toBe('replaced');
    expect((await openPackedModel(await resolveModelDir(store, 'tiny-llama'))).index.config.norm_eps).toBe(1e-6);
    expect(names()).toEqual(['tiny-llama']);
  });

  it('two imports at once end as one model', async () => {
    const outcomes = await Promise.all([addModel(folder, options()), addModel(folder, options())]);
    expect(outcomes.map((o) => o.outcome).sort()).toEqual(['added', 'present']);
    expect(names()).toEqual(['tiny-llama']);
  });

  it('shows nothing of an import that fails half-way', async () => {
    const model = await importGguf(gguf);
    const broken: ImportedModel = {
      ...model,
      tensors: {
        ...model.tensors,
        readRows: (name, ...rest) => (name.includes('layers.1') ? Promise.reject(new Error('cut')) : model.tensors.readRows(name, ...rest)),
      },
    };
    await expect(addImported(broken, options())).rejects.toThrow('cut');
    expect(names()).toEqual([]);
    expect(await listModels(store)).toEqual([]);
  });

  it('clears what killed imports left, leaves running ones, and finishes a cut replacement', async () => {
    const { dir } = await addModel(folder, options());
    const dead = 2 ** 22 + 1; // above the largest pid of Linux
    mkdirSync(join(store, `.tmp-${dead}-aa`));
    mkdirSync(join(store, `.tmp-${process.pid}-bb`));
    mkdirSync(join(store, `.tmp-${process.pid}-cc`));
    utimesSync(join(store, `.tmp-${process.pid}-cc`), 1e9, 1e9);
    expect((await listModels(store)).map((m) => m.id)).toEqual(['tiny-llama']);
    renameSync(dir, join(store, '.old-tiny-llama'));
    expect((await addModel(folder, options())).outcome).toBe('present');
    expect(names()).toEqual([`.tmp-${process.pid}-bb`, 'tiny-llama']);
  });

  it('names the models there are when one is not', async () => {
    await expect(resolveModelDir(store, 'x')).rejects.toThrow(/"x" is not in the store \(models there: none\)/);
    await addModel(folder, options());
    await expect(resolveModelDir(store, 'x')).rejects.toThrow(/models there: tiny-llama/);
    for (const id of ['../x', '', '.hidden', 'a/b', 'a:b', 'a'.repeat(129)])
      await expect(resolveModelDir(store, id)).rejects.toMatchObject({ code: 'bad_id' });
  });

  it('is found from an environment', () => {
    expect(modelStore({ ROWSMITH_CACHE: '/c', XDG_CACHE_HOME: '/x', HOME: '/h' })).toBe('/c/models');
    expect(modelStore({ XDG_CACHE_HOME: '/x', HOME: '/h' })).toBe('/x/rowsmith/models');
    expect(modelStore({ HOME: '/h', ROWSMITH_CACHE: '' })).toBe('/h/.cache/rowsmith/models');
  });

  it('makes ids of names', () => {
    expect(
      ['SmolLM2-135M-Instruct.Q4_1.gguf', 'Org/My Model_v1', 'm-f16.gguf', 'tiny-Q4_K_M.gguf', 'x.BF16.gguf'].map(defaultModelId),
    ).toEqual(['smollm2-135m-instruct', 'my-model_v1', 'm', 'tiny', 'x']);
  });
});

describe('refusals', () => {
  const refused = (reference: string, code: string, message: RegExp) =>
    expect(addModel(reference, options())).rejects.toMatchObject({ code, message: expect.stringMatching(message) as string });

  it('of pickle files, wherever they are', async () => {
    await refused(join(root, 'model.bin'), 'pickle_refused', /is a pickle file: opening one runs code/);
    rmSync(join(folder, 'model.safetensors'));
    writeFileSync(join(folder, 'pytorch_model.bin'), 'x');
    await refused(folder, 'pickle_refused', /pytorch_model\.bin: is a pickle file/);
    expect(existsSync(store)).toBe(false);
  });

  it('of missing files and wrong kinds, by name', async () => {
    await refused(join(folder, 'model.safetensors'), 'unsupported', /give the folder that holds config\.json/);
    await refused('no such thing', 'missing_file', /is no folder, no \.gguf file and no hub id/);
    await refused(join(root, 'none.gguf'), 'missing_file', /does not exist/);
    rmSync(join(folder, 'tokenizer.json'));
    await refused(folder, 'missing_file', /tokenizer\.json: is missing/);
    symlinkSync('/dev/zero', join(folder, 'tokenizer.json'));
    await refused(folder, 'missing_file', /tokenizer\.json: is not a regular file/);
  });

  it('of weights that do not fit the config, by tensor', async () => {
    const all = await weights();
    const write = (change: (map: Map<string, TensorToWrite>) => void) => {
      const changed = new Map(all);
      change(changed);
      writeFileSync(join(folder, 'model.safetensors'), encodeSafetensors(changed));
    };
    write((m) => m.delete('model.layers.1.mlp.up_proj.weight'));
    await refused(folder, 'bad_weights', /tensor model\.layers\.1\.mlp\.up_proj\.weight is missing/);
    write((m) => m.set('model.norm.weight', { shape: [31], data: new Float32Array(31) }));
    await refused(folder, 'bad_weights', /model\.norm\.weight has shape \[31\], the config needs \[32\]/);
    write((m) => m.set('model.layers.0.self_attn.q_proj.bias', { shape: [32], data: new Float32Array(32) }));
    await refused(folder, 'unsupported', /"model\.layers\.0\.self_attn\.q_proj\.bias" is not part of a llama decoder/);
    write((m) => m.set('model.norm.weight', { shape: [32], data: new Float32Array(32).fill(Number.NaN) }));
    await refused(folder, 'bad_weights', /model\.norm\.weight holds NaN/);
    expect(await listModels(store)).toEqual([]);
    write((m) => m.set('model.layers.0.self_attn.rotary_emb.inv_freq', { shape: [4], data: new Float32Array(4) }));
    expect((await addModel(folder, options())).outcome).toBe('added');
  });

  it('of a tokenizer with more tokens than the model', async () => {
    const tokenizer = JSON.parse(readFileSync(join(folder, 'tokenizer.json'), 'utf8')) as { model: { vocab: Record<string, number> } };
    tokenizer.model.vocab['zzz'] = 268;
    writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer));
    await refused(folder, 'bad_tokenizer', /has 269 tokens, the model only 268/);
  });
});
