import { beforeAll, expect, it } from 'vitest';
import { type Engine, openEngine } from '../engine.js';
import type { CausalLM } from '../models/causal-lm.js';
import { createCausalLM } from '../models/decoder.js';
import { tinyPlan } from '../models/tiny-batch.js';
import { tinyModel } from '../models/tiny-model.js';
import { philox } from '../runtime/philox.js';
import { applyRows, effectiveRows, removeRows } from './apply-rows.js';

let engine: Engine;
let model: CausalLM;
beforeAll(async () => {
  engine = await openEngine();
  model = createCausalLM(engine.ops, tinyModel(31));
});

const allRows = () =>
  model.linears.map((linear) => [
    ...model.readRows(
      linear,
      Int32Array.from({ length: linear.outFeatures }, (_, i) => i),
    ),
  ]);

function delta() {
  const { modules } = tinyPlan(model, 3, (name) => name.includes('layers.1'));
  return new Map(
    modules.map(({ name, indices, outFeatures, inFeatures }) => {
      const values = philox(2, name, 0).fill(new Float32Array(indices.length * inFeatures), -0.1, 0.1);
      return [name, { indices, delta: values, outFeatures, inFeatures }] as const;
    }),
  );
}

it('applied rows are f32(base + D); removed, every weight has its old bits; no handle stays', () => {
  const before = allRows();
  const handles = engine.handleCount();
  const rows = delta();
  const base = effectiveRows(model, rows);
  const applied = applyRows(engine, model, rows);
  for (const [name, values] of effectiveRows(model, rows)) {
    const update = rows.get(name)?.delta as Float32Array;
    expect([...values]).toEqual(Array.from(base.get(name) as Float32Array, (w, i) => Math.fround(w + (update[i] as number))));
  }
  expect(allRows()).not.toEqual(before);
  removeRows(engine, model, applied);
  expect(allRows()).toEqual(before);
  expect(engine.handleCount()).toBe(handles);
});

it('refuses rows of another model before it writes', () => {
  const before = allRows();
  const rows = delta();
  const [last] = [...rows].slice(-1);
  if (!last) throw new Error('no rows');
  expect(() => applyRows(engine, model, new Map([...rows, [last[0], { ...last[1], inFeatures: 99 }]]))).toThrow(/down_proj is \[20, 28\]/);
  expect(() => applyRows(engine, model, new Map([...rows, ['model.layers.7.mlp.up_proj', last[1]]]))).toThrow(/layers.7/);
  expect(allRows()).toEqual(before);
});
