import { type TargetName, targetNames } from '@rowsmith/contracts';
import { describe, expect, it } from 'vitest';
import type { RowPlan } from '../models/causal-lm.js';
import { selectedRows, trainableParameters } from './parameter-count.js';
import { rowCount } from './row-count.js';

type Shapes = Readonly<Record<TargetName, readonly [out: number, width: number]>>;

function decoder(layers: number, shapes: Shapes, targets: readonly TargetName[], rank: number): RowPlan {
  const modules = Array.from({ length: layers }, (_, layer) =>
    targets.map((target) => {
      const [outFeatures, inFeatures] = shapes[target];
      const indices = new Int32Array(rowCount(rank, outFeatures));
      return { name: `${layer}.${target}`, layer, target, tensor: '', rowOffset: 0, outFeatures, inFeatures, indices };
    }),
  );
  return { modules: modules.flat() };
}

function llama(hidden: number, mlp: number, kv: number): Shapes {
  return {
    q_proj: [hidden, hidden],
    k_proj: [kv, hidden],
    v_proj: [kv, hidden],
    o_proj: [hidden, hidden],
    gate_proj: [mlp, hidden],
    up_proj: [mlp, hidden],
    down_proj: [hidden, mlp],
  };
}

describe('trainableParameters', () => {
  const models = {
    'Llama-2-7B': { layers: 32, shapes: llama(4096, 11008, 4096) },
    'Llama-3-8B': { layers: 32, shapes: llama(4096, 14336, 1024) },
    'Llama-2-13B': { layers: 40, shapes: llama(5120, 13824, 5120) },
  };
  const four = ['o_proj', 'gate_proj', 'up_proj', 'down_proj'] as const;
  // r x sum of input widths over the tuned linears
  it.each([
    ['Llama-2-7B', targetNames, 32, 36_438_016],
    ['Llama-2-7B', four, 32, 23_855_104],
    ['Llama-3-8B', targetNames, 64, 79_691_776],
    ['Llama-3-8B', four, 64, 54_525_952],
    ['Llama-2-13B', targetNames, 128, 228_065_280],
  ] as const)('%s %j rank %i: %i', (name, targets, rank, expected) => {
    const { layers, shapes } = models[name];
    expect(trainableParameters(decoder(layers, shapes, targets, rank))).toBe(expected);
  });

  it('toy: 2 of 3 rows of 4 columns are 8 of 12 (LoRA of rank 2 would be 14)', () => {
    const plan: RowPlan = {
      modules: [
        {
          name: 'toy',
          layer: 0,
          target: 'q_proj',
          tensor: 'toy',
          rowOffset: 0,
          outFeatures: 3,
          inFeatures: 4,
          indices: Int32Array.of(0, 2),
        },
      ],
    };
    expect(trainableParameters(plan)).toBe(8);
    expect(selectedRows(plan)).toBe(2);
  });
});
