import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { columnsKey } from '@rowsmith/contracts';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Engine, openEngine } from '../engine.js';
import type { CausalLM } from '../models/causal-lm.js';
import { createCausalLM } from '../models/decoder.js';
import { tinyModel } from '../models/tiny-model.js';
import { applyRows, effectiveRows, removeRows } from '../rows/apply-rows.js';
import { runInNewProcess } from '../testing/run-in-new-process.js';
import { channelModel, channelRun, channelRuns } from './channel-runs.js';
import { eventsOf, eventsText, stateFromText, toyInput } from './toy-run.js';
import { train } from './train.js';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine();
  // Makes what stays: small constants, which are no leak.
  await eventsOf(toyInput(engine, channelRun('both', channelModel(engine, 'both'))));
});

const every = (count: number) => Int32Array.from({ length: count }, (_, i) => i);
const allRows = (model: CausalLM) => model.linears.map((linear) => model.readRows(linear, every(linear.outFeatures)));
const allBiases = (model: CausalLM) =>
  model.linears.flatMap((linear) => (linear.bias ? [model.readBiases(linear, every(linear.outFeatures))] : []));
const names = Object.keys(channelRuns);

it('a stop, then the rest in a new process: byte for byte the uninterrupted run, in every mode', async () => {
  const runs = new URL('./channel-runs.ts', import.meta.url);
  const states = await runInNewProcess(runs, 'firstHalves');
  // Too long for an argument of a process.
  const path = join(mkdtempSync(join(tmpdir(), 'rowsmith-channels-')), 'states.json');
  writeFileSync(path, states);
  const rests = JSON.parse(await runInNewProcess(runs, 'secondHalves', path)) as Record<string, string>;
  rmSync(dirname(path), { recursive: true });
  expect(Object.keys(rests)).toEqual(names);
  for (const name of names) {
    const state = stateFromText((JSON.parse(states) as Record<string, string>)[name] as string);
    expect(state.step).toBeGreaterThanOrEqual(2);
    expect(state.columns?.size).toBeGreaterThan(0);
    const whole = await eventsOf(toyInput(engine, channelRun(name, channelModel(engine, name))));
    const from = whole.findIndex((event) => event.type === 'step' && event.point.step === state.step) + 1;
    expect(rests[name], name).toBe(eventsText(whole.slice(from)));
  }
});

describe.each(names)('%s', (name) => {
  it('learns; the tuned model is f32(W + f32(D + E)); afterwards the base has its old bits and no handle stays', async () => {
    const model = channelModel(engine, name);
    const base = allRows(model);
    const baseBiases = allBiases(model);
    const input = toyInput(engine, channelRun(name, model));
    // Makes the tables of positions, which stay.
    model.logits(new Int32Array(16));
    const handles = engine.handleCount();
    const losses: number[] = [];
    let tuned: Float32Array[] = [];
    let expected: Float32Array[] = [];
    for await (const event of train(input)) {
      if (event.type === 'step') losses.push(event.point.train_loss ?? Number.NaN);
      if (event.type !== 'done') continue;
      tuned = allRows(model);
      expected = model.linears.map((linear, i) => {
        const { indices = new Int32Array(0), delta = new Float32Array(0), columns, columnDelta } = event.delta.get(linear.name) ?? {};
        const { inFeatures, outFeatures } = linear;
        return (base[i] as Float32Array).map((w, at) => {
          const [row, column] = [Math.floor(at / inFeatures), at % inFeatures];
          const [k, l] = [indices.indexOf(row), columns?.indexOf(column) ?? -1];
          const d = k < 0 ? 0 : (delta[k * inFeatures + column] as number);
          const e = l < 0 ? 0 : (columnDelta?.[l * outFeatures + row] as number);
          return w + Math.fround(d + e);
        });
      });
      const held = effectiveRows(model, event.delta);
      expect([...held.keys()].some((key) => key.endsWith('.columns'))).toBe(true);
      // Another way to the same bits: the engine's own apply, on a second model.
      const second = channelModel(engine, name);
      const applied = applyRows(engine, second, event.delta);
      expect(effectiveRows(second, event.delta)).toEqual(held);
      expect(allRows(second)).toEqual(tuned);
      expect(allBiases(second)).toEqual(allBiases(model));
      if (input.rowSparse.train_biases) expect(allBiases(model)).not.toEqual(baseBiases);
      removeRows(engine, second, applied);
      expect(allRows(second)).toEqual(base);
      second.dispose();
    }
    expect(losses.at(-1)).toBeLessThan((losses[0] as number) * 0.95);
    expect(tuned).toEqual(expected);
    expect(tuned).not.toEqual(base);
    expect(allRows(model)).toEqual(base);
    expect(allBiases(model)).toEqual(baseBiases);
    expect(engine.handleCount()).toBe(handles);
    model.dispose();
  });
});

it('columns of another model are refused before anything is written', () => {
  const model = createCausalLM(engine.ops, tinyModel(41));
  const before = allRows(model);
  const [linear] = model.linears;
  if (!linear) throw new Error('no linear');
  const { name, outFeatures, inFeatures } = linear;
  const rows = { indices: Int32Array.of(0), delta: new Float32Array(inFeatures).fill(1), outFeatures, inFeatures };
  const delta = new Map([[name, { ...rows, columns: Int32Array.of(1), columnDelta: new Float32Array(outFeatures - 1) }]]);
  expect(() => applyRows(engine, model, delta)).toThrow(/of another shape/);
  expect(allRows(model)).toEqual(before);
  expect(columnsKey(name)).toBe(`${name}.columns`);
  model.dispose();
});
