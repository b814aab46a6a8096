import { beforeAll, describe, expect, it } from 'vitest';
import { type Engine, openEngine } from '../engine.js';
import { createCausalLM } from '../models/decoder.js';
import { tinyModel } from '../models/tiny-model.js';
import { countingExamples, eventsOf, eventsText, type ToyChange, toyInput } from './toy-run.js';
import type { TrainEvent } from './types.js';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine();
});

const run = (change: ToyChange = {}) => eventsOf(toyInput(engine, change));
const ofType = <T extends TrainEvent['type']>(events: readonly TrainEvent[], type: T) =>
  events.filter((event): event is Extract<TrainEvent, { type: T }> => event.type === type);
const one = <T extends TrainEvent['type']>(events: readonly TrainEvent[], type: T) => {
  const [event, ...more] = ofType(events, type);
  if (!event || more.length > 0) throw new Error(`${more.length} more events of type ${type}`);
  return event;
};
const pointsOf = (events: readonly TrainEvent[]) => [...ofType(events, 'step'), ...ofType(events, 'evaluation')].map(({ point }) => point);

describe('packing', () => {
  it('changes no step, no count and no metric beyond rounding', async () => {
    const change = { validExamples: countingExamples(5, 3), epochs: 2, batch: 3 };
    const packed = await run({ ...change, rowSparse: { packing: true } });
    const padded = await run({ ...change, rowSparse: { packing: false } });
    expect(packed.map(({ type }) => type)).toEqual(padded.map(({ type }) => type));
    const expected = pointsOf(padded);
    for (const [i, point] of pointsOf(packed).entries()) {
      const { train_loss, valid_loss, grad_norm, seconds, ...same } = point;
      expect(expected[i]).toMatchObject(same);
      if (train_loss !== null) expect(train_loss).toBeCloseTo(expected[i]?.train_loss as number, 4);
      if (valid_loss !== null) expect(valid_loss).toBeCloseTo(expected[i]?.valid_loss as number, 4);
      if (grad_norm !== null) expect(grad_norm).toBeCloseTo(expected[i]?.grad_norm as number, 3);
    }
    expect(eventsText(packed)).not.toBe(eventsText(padded));
  });
});

describe('length bucketing', () => {
  it('every example once an epoch, in another order than without; resumed in an epoch, the rest is the same', async () => {
    const change: ToyChange = {
      trainExamples: countingExamples(10, 6),
      batch: 2,
      epochs: 2,
      rowSparse: { length_bucketing: true, packing: false },
    };
    const whole = await run({ ...change, wantsCheckpoint: (step) => step === 3 });
    const sum = (events: readonly TrainEvent[]) =>
      ofType(events, 'step')
        .slice(0, 5)
        .reduce((n, { point }) => n + (point.tokens ?? 0), 0);
    const plain = await run({ ...change, rowSparse: { packing: false } });
    expect(sum(whole)).toBe(sum(plain));
    expect(ofType(whole, 'step').map(({ point }) => point.tokens)).not.toEqual(ofType(plain, 'step').map(({ point }) => point.tokens));
    const rest = await run({ ...change, resume: one(whole, 'checkpoint').state });
    expect(eventsText(rest)).toBe(eventsText(whole.slice(4)));
  });
});

/** Learns nothing that the validation examples ask for: at this rate their loss rises and falls. */
const wild: ToyChange = {
  trainExamples: countingExamples(12, 5),
  validExamples: countingExamples(3, 99),
  epochs: 4,
  rowSparse: { learning_rate: 0.3, lr_schedule: 'constant', eval_every_steps: 1, keep_best: true, max_grad_norm: 0 },
};

describe('best checkpoint', () => {
  it('is saved at each lowest validation loss, whether one was wanted or not; step 0 is none', async () => {
    const events = await run(wild);
    const losses = ofType(events, 'evaluation').map(({ point, evaluation }) => ({
      step: point.step,
      loss: point.valid_loss as number,
      evaluation,
    }));
    expect(losses.map(({ evaluation }) => evaluation)).toEqual(losses.map((_, i) => i));
    const trained = losses.slice(1);
    const lowest = trained.filter(({ loss }, i) => trained.slice(0, i).every((before) => loss < before.loss));
    expect(lowest.length).toBeGreaterThan(1);
    expect(lowest.length).toBeLessThan(trained.length);
    const last = trained.at(-1)?.step;
    const saved = ofType(events, 'checkpoint');
    expect(saved.map(({ state, best }) => [state.step, best])).toEqual(
      lowest.filter(({ step }) => step !== last).map(({ step }) => [step, true]),
    );
    const best = lowest.at(-1);
    expect(one(events, 'done').best).toEqual({ step: best?.step, loss: best?.loss });
    expect(saved.at(-1)?.state.cursor).toMatchObject({ best_step: saved.at(-1)?.state.step });
  });

  it('without keep_best there are the wanted ones alone', async () => {
    expect(ofType(await run({ ...wild, rowSparse: { ...wild.rowSparse, keep_best: false } }), 'checkpoint')).toEqual([]);
  });
});

describe('early stopping', () => {
  const stopping: ToyChange = {
    ...wild,
    rowSparse: { ...wild.rowSparse, keep_best: false, early_stopping_patience: 2, early_stopping_min_delta: 0.05 },
  };

  it('ends after `patience` evaluations in a row without improvement, says so, and hands out the rows of that step', async () => {
    const events = await run(stopping);
    const losses = ofType(events, 'evaluation')
      .slice(1)
      .map(({ point }) => point.valid_loss as number);
    let [reference, bad] = [Number.POSITIVE_INFINITY, 0];
    const end = losses.findIndex((loss) => {
      [reference, bad] = reference - loss >= 0.05 ? [loss, 0] : [reference, bad + 1];
      return bad === 2;
    });
    expect(end).toBe(losses.length - 1);
    expect(losses.length).toBeLessThan(12);
    expect(one(events, 'early_stop')).toMatchObject({ step: losses.length, evaluations: 2 });
    expect(events.slice(-2).map(({ type }) => type)).toEqual(['early_stop', 'done']);
    expect(one(events, 'done').step).toBe(losses.length);
  });

  it('resumed anywhere, even after its end, it ends as the uninterrupted run', async () => {
    const whole = await run({ ...stopping, wantsCheckpoint: () => true });
    const states = [...ofType(whole, 'checkpoint').map(({ state }) => state), one(whole, 'done').state];
    expect(states.length).toBeGreaterThan(2);
    const text = eventsText(whole.filter(({ type }) => type !== 'checkpoint'));
    for (const state of states) {
      const rest = eventsText(await run({ ...stopping, resume: state }));
      expect(text.endsWith(rest), `from step ${state.step}`).toBe(true);
      expect(rest).toContain('"early_stop"');
    }
  });
});

describe('warm start', () => {
  it('step 0 is the model that the earlier run left; the optimiser begins anew', async () => {
    const first = await run({ validExamples: countingExamples(3, 9) });
    const { state } = one(first, 'done');
    const deltas = new Map([...state.buffers].filter(([name]) => name.startsWith('delta.')));
    const plan = toyInput(engine).plan;
    const second = await run({ plan, warmStart: deltas, validExamples: countingExamples(3, 9), rowSparse: { weight_decay: 0 } });
    const [before] = ofType(second, 'evaluation');
    expect(before?.point.valid_loss).toBe(ofType(first, 'evaluation').at(-1)?.point.valid_loss);
    expect(eventsText(second)).not.toBe(eventsText(first));
    // A first step of Adam from zero moments moves every element by the rate, but where gradients vanish (Kingma & Ba, arXiv 1412.6980, section 2.1).
    const stopped = await run({
      plan,
      warmStart: deltas,
      rowSparse: { weight_decay: 0, warmup_ratio: 0, lr_schedule: 'constant', max_steps: 1 },
    });
    const delta = one(stopped, 'done').state.buffers.get('delta.20')?.data as Float32Array;
    const moved = delta.map((value, i) => Math.abs(value - (deltas.get('delta.20')?.data[i] as number)));
    expect(moved.filter((value) => Math.abs(value - 0.02) < 1e-4).length).toBeGreaterThan(0.95 * moved.length);
  });

  it('refuses updates of another shape', async () => {
    const { plan } = toyInput(engine);
    const warmStart = new Map([['delta.20', { shape: [1, 20], data: new Float32Array(20) }]]);
    await expect(run({ plan, warmStart })).rejects.toThrow(expect.objectContaining({ code: 'checkpoint_mismatch' }));
  });
});

it('memory fast and low: the same bits', async () => {
  const of = (memory: 'fast' | 'low') =>
    run({ model: createCausalLM(engine.ops, tinyModel(41), { memory }), validExamples: countingExamples(2, 3) });
  expect(eventsText(await of('low'))).toBe(eventsText(await of('fast')));
});
