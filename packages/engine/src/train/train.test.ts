import { beforeAll, describe, expect, it } from 'vitest';
import { type Engine, openEngine } from '../engine.js';
import type { CausalLM } from '../models/causal-lm.js';
import { createCausalLM } from '../models/decoder.js';
import { tinyModel } from '../models/tiny-model.js';
import { applyRows, effectiveRows } from '../rows/apply-rows.js';
import { collate } from './collate.js';
import { countingExamples, eventsOf, eventsText, stateText, type ToyChange, toyInput } from './toy-run.js';
import { train } from './train.js';
import type { TrainEvent } from './types.js';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine();
});

const run = (change: ToyChange = {}) => eventsOf(toyInput(engine, change));
const ofType = <T extends TrainEvent['type']>(events: readonly TrainEvent[], type: T) =>
  events.filter((event): event is Extract<TrainEvent, { type: T }> => event.type === type);
const doneOf = (events: readonly TrainEvent[]) => {
  const [done] = ofType(events, 'done');
  if (!done) throw new Error('not done');
  return done;
};
const matrices = (model: CausalLM) =>
  new Map(
    model.linears.map((linear) => [
      linear.name,
      model.readRows(
        linear,
        Int32Array.from({ length: linear.outFeatures }, (_, i) => i),
      ),
    ]),
  );

describe('train', () => {
  it('learns: validation loss of unseen examples falls by more than half, and the done event carries the last values', async () => {
    const events = await run({ trainExamples: countingExamples(40, 5), validExamples: countingExamples(12, 99), epochs: 8 });
    const [before, after, ...more] = ofType(events, 'evaluation');
    expect(more).toEqual([]);
    expect(before?.point.step).toBe(0);
    expect(after?.point.step).toBe(80);
    expect(after?.point.valid_loss).toBeLessThan(0.5 * (before?.point.valid_loss as number));
    expect(after?.point.valid_mean_token_accuracy).toBeGreaterThan(before?.point.valid_mean_token_accuracy as number);
    const done = doneOf(events);
    expect(done.step).toBe(80);
    expect(done.metrics.full_valid_loss).toBe(after?.point.valid_loss);
    expect(done.metrics.train_loss).toBe(ofType(events, 'step').at(-1)?.point.train_loss);
  });

  it('reports each step: loss before the update, tokens, rate, epoch, seconds of the given clock', async () => {
    const examples = countingExamples(6, 8);
    const events = await run({ trainExamples: examples, epochs: 2, rowSparse: { warmup_ratio: 0 } });
    const points = ofType(events, 'step').map(({ point }) => point);
    const tokens = examples.reduce((sum, { ids }) => sum + ids.length, 0);
    expect(points.map(({ step }) => step)).toEqual([1, 2, 3, 4]);
    expect(points.map(({ epoch }) => epoch)).toEqual([4 / 6, 1, 1 + 4 / 6, 2]);
    expect(points.map(({ learning_rate }) => learning_rate)).toEqual([0.02, 0.015, 0.01, 0.005]);
    expect(points.map(({ seconds }) => seconds)).toEqual([1, 1, 1, 1]);
    expect((points[0]?.tokens ?? 0) + (points[1]?.tokens ?? 0)).toBe(tokens);
    // one prompt token each
    expect((points[0]?.labelled_tokens ?? 0) + (points[1]?.labelled_tokens ?? 0)).toBe(tokens - 6);
    expect(doneOf(events).trainedTokens).toBe(2 * tokens);
    for (const { grad_norm } of points) expect(grad_norm).toBeGreaterThan(0);
  });

  it("step 1's loss is the base model's on the same examples; without validation there is no evaluation", async () => {
    const examples = countingExamples(4, 8);
    const model = createCausalLM(engine.ops, tinyModel(41));
    const { lossSum, correct, labelled } = model.loss(collate(examples));
    const events = await run({ model, trainExamples: examples });
    const [step] = ofType(events, 'step');
    expect(step?.point.train_loss).toBeCloseTo(lossSum / labelled, 5);
    expect(step?.point.train_mean_token_accuracy).toBe(correct / labelled);
    expect(ofType(events, 'evaluation')).toEqual([]);
  });

  it('changes the selected rows alone; at done they are f32(base + D); afterwards the model is the base again, bit for bit', async () => {
    const model = createCausalLM(engine.ops, tinyModel(41));
    const base = matrices(model);
    let atDone = new Map<string, Float32Array>();
    let delta: Extract<TrainEvent, { type: 'done' }>['delta'] = new Map();
    for await (const event of train(toyInput(engine, { model, rowSparse: { rows: 3 } }))) {
      if (event.type !== 'done') continue;
      atDone = matrices(model);
      delta = event.delta;
    }
    expect([...delta.keys()]).toEqual(model.linears.map(({ name }) => name));
    for (const { name, inFeatures } of model.linears) {
      const expected = (base.get(name) as Float32Array).slice();
      const { indices, delta: update } = delta.get(name) ?? { indices: new Int32Array(0), delta: new Float32Array(0) };
      for (const [k, row] of indices.entries())
        for (let j = 0; j < inFeatures; j++)
          expected[row * inFeatures + j] = (expected[row * inFeatures + j] as number) + (update[k * inFeatures + j] as number);
      expect(update.some((value) => value !== 0)).toBe(true);
      expect(atDone.get(name), name).toEqual(expected);
    }
    expect(matrices(model)).toEqual(base);
    applyRows(engine, model, delta);
    expect(matrices(model)).toEqual(atDone);
    expect(effectiveRows(model, delta).size).toBe(14);
  });

  it('the count of handles is constant over steps and returns to the start, whether done, stopped, failed or left', async () => {
    const model = createCausalLM(engine.ops, tinyModel(41));
    const change: ToyChange = {
      model,
      validExamples: countingExamples(2, 3),
      rowSparse: { gradient_accumulation_steps: 2, eval_every_steps: 1 },
      batch: 2,
    };
    await run(change);
    const before = engine.handleCount();
    const during: number[] = [];
    for await (const event of train(toyInput(engine, change))) if (event.type === 'step') during.push(engine.handleCount());
    expect(during).toHaveLength(4);
    expect(new Set(during).size).toBe(1);
    expect(engine.handleCount()).toBe(before);

    const stop = new AbortController();
    for await (const event of train(toyInput(engine, { ...change, signal: stop.signal }))) if (event.type === 'step') stop.abort();
    expect(engine.handleCount()).toBe(before);

    for await (const event of train(toyInput(engine, change))) if (event.type === 'step') break;
    expect(engine.handleCount()).toBe(before);
  });

  it('a token weighs the same however a window is cut: 2 x 2 equals 4, and 4 x 1', async () => {
    const trained = async (batch: number, gradient_accumulation_steps: number) => {
      const events = await run({ batch, rowSparse: { gradient_accumulation_steps }, trainExamples: countingExamples(10, 4), epochs: 2 });
      return ofType(events, 'step').map(({ point }) => point);
    };
    const whole = await trained(4, 1);
    for (const parts of [await trained(2, 2), await trained(1, 4)]) {
      expect(parts).toHaveLength(6);
      for (const [i, point] of parts.entries()) {
        expect(point.train_loss).toBeCloseTo(whole[i]?.train_loss as number, 4);
        expect(point.grad_norm).toBeCloseTo(whole[i]?.grad_norm as number, 3);
        expect(point.labelled_tokens).toBe(whole[i]?.labelled_tokens);
        expect(point.epoch).toBe(whole[i]?.epoch);
      }
    }
  });

  it('the same seed gives the same bits, another seed others', async () => {
    const first = eventsText(await run());
    expect(eventsText(await run())).toBe(first);
    expect(eventsText(await run({ seed: 2 }))).not.toBe(first);
  });

  it('clipping bounds the update, not the reported norm', async () => {
    const free = ofType(await run({ rowSparse: { max_grad_norm: 0 } }), 'step');
    const clipped = ofType(await run({ rowSparse: { max_grad_norm: 1e-3 } }), 'step');
    expect(clipped[0]?.point.grad_norm).toBe(free[0]?.point.grad_norm);
    expect(clipped[1]?.point.grad_norm).not.toBe(free[1]?.point.grad_norm);
  });
});

describe('stopping, checkpoints and refusals', () => {
  it('asks for a checkpoint after each step but the last; its state goes on like the uninterrupted run', async () => {
    const asked: number[] = [];
    const events = await run({
      validExamples: countingExamples(2, 3),
      rowSparse: { eval_every_steps: 2 },
      wantsCheckpoint: (step) => asked.push(step) > 0 && step === 2,
    });
    expect(asked).toEqual([1, 2, 3]);
    expect(events.map(({ type }) => type)).toEqual([
      'evaluation',
      'step',
      'step',
      'evaluation',
      'checkpoint',
      'step',
      'step',
      'evaluation',
      'done',
    ]);
    const [checkpoint] = ofType(events, 'checkpoint');
    if (!checkpoint) throw new Error('no checkpoint');
    expect(checkpoint.metrics.step).toBe(2);
    const rest = await run({ validExamples: countingExamples(2, 3), rowSparse: { eval_every_steps: 2 }, resume: checkpoint.state });
    expect(eventsText(rest)).toBe(eventsText(events.slice(5)));
  });

  it('aborted at once: the state of step 0, nothing trained', async () => {
    const events = await run({ signal: AbortSignal.abort() });
    expect(events.map(({ type }) => type)).toEqual(['stopped']);
    const [stopped] = ofType(events, 'stopped');
    expect(stopped?.state.step).toBe(0);
    expect([...(stopped?.state.buffers.values() ?? [])].every(({ data }) => data.every((value) => value === 0))).toBe(true);
  });

  it('stopped before the last evaluation: the resumed run makes it up', async () => {
    const stop = new AbortController();
    const change = { validExamples: countingExamples(2, 3) };
    const whole = await run(change);
    const events: TrainEvent[] = [];
    for await (const event of train(toyInput(engine, { ...change, signal: stop.signal }))) {
      events.push(event);
      if (event.type === 'step' && event.point.step === 4) stop.abort();
    }
    const [stopped] = ofType(events, 'stopped');
    if (!stopped) throw new Error('not stopped');
    expect(eventsText(await run({ ...change, resume: stopped.state }))).toBe(eventsText(whole.slice(-2)));
  });

  it('refuses a checkpoint of other data, other rows or with damaged buffers', async () => {
    const { state } = doneOf(await run());
    const refused = (change: ToyChange) => expect(run(change)).rejects.toThrow(expect.objectContaining({ code: 'checkpoint_mismatch' }));
    await refused({ resume: state, trainExamples: countingExamples(17, 5) });
    await refused({ resume: { ...state, cursor: { ...state.cursor, position: 4 } } });
    await refused({ resume: { ...state, buffers: new Map([...state.buffers].slice(1)) } });
    const { plan } = toyInput(engine);
    const moved = new Map(plan.modules.map(({ name, indices, outFeatures }) => [name, indices.map((row) => outFeatures - 1 - row).sort()]));
    await refused({ plan, resume: { ...state, indices: moved } });
  });

  it('a loss that is not finite is a user error that names the step', async () => {
    const weights = tinyModel(41);
    const norm = weights.tensors.get('final_norm') as Float32Array;
    norm.fill(1e38);
    const model = createCausalLM(engine.ops, weights);
    const refused = () =>
      expect(run({ model })).rejects.toThrow(
        expect.objectContaining({ errorClass: 'user', code: 'nan_loss', message: expect.stringContaining('step 1') }),
      );
    await refused();
    const before = engine.handleCount();
    await refused();
    expect(engine.handleCount()).toBe(before);
  });

  it.each([
    ['no examples', [], 'no_examples'],
    ['no label that counts', [{ ids: Int32Array.of(1, 2), labels: Int32Array.of(1, -100) }], 'no_labelled_tokens'],
  ])('refuses %s', async (_, trainExamples, code) => {
    await expect(run({ trainExamples })).rejects.toThrow(expect.objectContaining({ errorClass: 'user', code }));
  });

  it('an example without labels adds nothing but is seen', async () => {
    const [silent] = [{ ids: Int32Array.of(4, 5, 6), labels: Int32Array.of(-100, -100, -100) }];
    const events = await run({ trainExamples: [silent, ...countingExamples(1, 5)], batch: 1 });
    const points = ofType(events, 'step').map(({ point }) => point);
    const quiet = points.find(({ labelled_tokens }) => labelled_tokens === 0);
    expect(quiet).toMatchObject({ train_loss: null, train_mean_token_accuracy: null, tokens: 3, grad_norm: 0 });
    expect(stateText(doneOf(events).state)).not.toContain('null');
  });
});
