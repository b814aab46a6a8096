import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PackedModelIndex, PackedTensor } from '@rowsmith/contracts';
import { packedFormat } from '@rowsmith/contracts';
import { loadKernels } from '@rowsmith/kernels';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FusedOps } from '../ops/fused-ops.js';
import { StockOps } from '../ops/stock-ops.js';
import { openRuntime } from '../runtime/open-runtime.js';
import { createCausalLM } from './decoder.js';
import { packedShapes } from './layout.js';
import { tinyBatch, tinyPlan } from './tiny-batch.js';
import { tinyConfig, tinyModel } from './tiny-model.js';
import type { PackedModelFile } from './weights.js';

const folder = mkdtempSync(join(tmpdir(), 'rowsmith-weights-'));
let ops: StockOps;
let fused: FusedOps;
beforeAll(async () => {
  const runtime = await openRuntime();
  const kernels = await loadKernels();
  if (!kernels.loaded) throw new Error(`fused operators: ${kernels.reason}`);
  ops = new StockOps(runtime);
  fused = new FusedOps(runtime);
});
afterAll(() => rmSync(folder, { recursive: true }));

const alignment = 4096;
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** A packed model on disk with the numbers of `tinyModel(seed)`. */
function packTiny(seed: number): PackedModelFile {
  const { config, tensors: values } = tinyModel(seed);
  const tensors: Record<string, PackedTensor> = {};
  const parts: Buffer[] = [];
  let offset = 0;
  for (const [name, shape] of packedShapes(config)) {
    tensors[name] = { shape: [...shape], offset, dtype: 'f32' };
    const data = Buffer.from((values.get(name) as Float32Array).buffer);
    const padded = Buffer.alloc(Math.ceil(data.length / alignment) * alignment);
    data.copy(padded);
    parts.push(padded);
    offset += padded.length;
  }
  const weightsPath = join(folder, `weights-${seed}.bin`);
  const bytes = Buffer.concat(parts);
  writeFileSync(weightsPath, bytes);
  const index: PackedModelIndex = {
    format: packedFormat,
    id: 'tiny',
    source: { kind: 'folder', name: 'tiny', revision: null, sha256: sha256(bytes) },
    base_sha256: sha256(bytes),
    alignment,
    weights_bytes: bytes.length,
    weights_sha256: sha256(bytes),
    tokenizer_sha256: sha256(bytes),
    parameters: 0,
    created_at: 0,
    config,
    tensors,
  };
  return { weightsPath, index };
}

describe('a packed model on disk', () => {
  it.each(['stock', 'fused'] as const)(
    '%s operators: computes what the same numbers in memory compute, bit for bit; writing rows leaves the file alone',
    (kind) => {
      const by = kind === 'stock' ? ops : fused;
      const file = packTiny(5);
      expect(by.mapPrivately(file.weightsPath, 0, [1, 1]) === null).toBe(kind === 'stock');
      const before = sha256(readFileSync(file.weightsPath));
      const batch = tinyBatch(1, tinyConfig, [12, 9]);
      const results = [createCausalLM(by, tinyModel(5)), createCausalLM(by, file, { rowTensors: ['layers.1.down'] })].map((model) => {
        const plan = tinyPlan(model, 2, (name) => name.endsWith('layers.1.mlp.down_proj'));
        const [module] = plan.modules;
        if (!module) throw new Error('no module');
        const { grads, lossSum } = model.lossAndGrads(batch, plan, 1);
        const gradient = grads.get(module.name);
        if (!gradient) throw new Error('no gradient');
        model.writeRows(module, module.indices, gradient);
        const after = model.loss(batch).lossSum;
        ops.runtime.release(gradient);
        model.dispose();
        return { lossSum, after };
      });
      expect(results[1]).toEqual(results[0]);
      expect(results[0]?.after).not.toBe(results[0]?.lossSum);
      expect(sha256(readFileSync(file.weightsPath))).toBe(before);
    },
  );

  it.each<[string, (file: PackedModelFile) => PackedModelFile, RegExp]>([
    [
      'a file of another size',
      ({ weightsPath, index }) => ({ weightsPath, index: { ...index, weights_bytes: 4096 } }),
      /import the model again/,
    ],
    ['a tensor that is not in the index', (file) => change(file, 'layers.1.o', undefined), /no tensor layers.1.o/],
    ['a shape that the config does not give', (file) => change(file, 'embed', { shape: [37, 19] }), /embed: \[37,19\], expected \[37,20\]/],
    ['an offset beyond the end', (file) => change(file, 'embed', { offset: 2 ** 40 }), /embed: offset/],
    ['an unaligned offset', (file) => change(file, 'embed', { offset: 4 }), /embed: offset/],
  ])('refuses %s and frees what it had loaded', (_, spoil, message) => {
    const file = spoil(packTiny(6));
    const before = ops.runtime.handleCount;
    expect(() => createCausalLM(ops, file)).toThrow(message);
    expect(ops.runtime.handleCount).toBe(before);
  });

  it('refuses row tensors that the model does not have, and weights in memory of the wrong size', () => {
    expect(() => createCausalLM(ops, tinyModel(1), { rowTensors: ['layers.2.o'] })).toThrow(/no tensor layers.2.o/);
    const model = tinyModel(1);
    expect(() => createCausalLM(ops, { ...model, tensors: new Map(model.tensors).set('embed', new Float32Array(3)) })).toThrow(
      /embed: expected 740/,
    );
  });
});

function change(file: PackedModelFile, name: string, values: Partial<PackedTensor> | undefined): PackedModelFile {
  const { [name]: old, ...others } = file.index.tensors;
  const tensors = values && old ? { ...others, [name]: { ...old, ...values } } : others;
  return { ...file, index: { ...file.index, tensors } };
}
