/** Training by graphs: as eager training within rounding, and interrupted as uninterrupted, byte for byte. */
import { beforeAll, expect, it } from 'vitest';
import type { Engine } from '../engine.js';
import { openEngine } from '../engine.js';
import { createCausalLM } from '../models/decoder.js';
import { tinyModel } from '../models/tiny-model.js';
import { countingExamples, eventsOf, stateText, type ToyChange, toyInput } from '../train/toy-run.js';
import type { TrainEvent, TrainInput } from '../train/types.js';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine({ execution: 'graph' });
});

/** 10 examples, batch 2, accumulation 2: steps of 4, 4 and 2 examples; 3 epochs = 9 steps. */
const change = (execution: 'graph' | 'eager', packing: boolean): ToyChange => ({
  model: createCausalLM(engine.ops, tinyModel(41), { execution }),
  trainExamples: countingExamples(10, 6),
  validExamples: countingExamples(3, 7),
  rowSparse: { rows: 3, gradient_accumulation_steps: 2, eval_every_steps: 2, lr_schedule: 'cosine', packing, update_dropout: 0 },
  batch: 2,
  epochs: 3,
});

type Done = Extract<TrainEvent, { type: 'done' }>;
const doneOf = (events: readonly TrainEvent[]): Done => {
  const last = events.at(-1);
  if (last?.type !== 'done') throw new Error(`ended with ${last?.type}`);
  return last;
};
const lossesOf = (events: readonly TrainEvent[]): number[] =>
  events.flatMap((event) => ('point' in event ? (event.point.train_loss ?? event.point.valid_loss ?? []) : []));

it.each([true, false])('nine accumulated steps, packed %s: losses, norms and updated rows are those of eager training', async (packing) => {
  const [graph, eager] = [
    await eventsOf(toyInput(engine, change('graph', packing))),
    await eventsOf(toyInput(engine, change('eager', packing))),
  ];
  expect(lossesOf(graph)).toHaveLength(lossesOf(eager).length);
  for (const [i, loss] of lossesOf(eager).entries()) expect(Math.abs((lossesOf(graph)[i] as number) - loss) / loss).toBeLessThan(1e-5);
  for (const [name, { data }] of doneOf(eager).state.buffers) {
    const other = doneOf(graph).state.buffers.get(name)?.data ?? new Float32Array(0);
    const largest = data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    expect(largest).toBeGreaterThan(0);
    // Adam divides by the gradient's size: what rounds otherwise in a small gradient is as large in the update as in a large one.
    expect(
      data.every((value, i) => Math.abs(value - (other[i] ?? Number.NaN)) < 1e-3 * largest),
      name,
    ).toBe(true);
  }
});

it('resumed in a new model it goes on with the same bytes', async () => {
  const whole = doneOf(await eventsOf(toyInput(engine, change('graph', true))));
  const input: TrainInput = { ...toyInput(engine, change('graph', true)), wantsCheckpoint: (step) => step === 4 };
  const saved = (await eventsOf(input)).find((event) => event.type === 'checkpoint');
  if (saved?.type !== 'checkpoint') throw new Error('no checkpoint');
  const rest = doneOf(await eventsOf(toyInput(engine, { ...change('graph', true), resume: saved.state })));
  expect(stateText(rest.state)).toBe(stateText(whole.state));
});

it('the engine says what computes', () => {
  expect(engine.execution).toBe('graph');
  expect(engine.operators).toEqual({ kind: 'stock', reason: 'graphs hold stock operators' });
});
