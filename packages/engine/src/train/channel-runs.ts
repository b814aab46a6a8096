/** For tests: short runs of every channels mode, cut in two by a stop, each half in a process of its own. */
import { readFile } from 'node:fs/promises';
import { type Engine, openEngine } from '../engine.js';
import type { CausalLM } from '../models/causal-lm.js';
import { createCausalLM } from '../models/decoder.js';
import { tinyModel } from '../models/tiny-model.js';
import { countingExamples, eventsOf, eventsText, stateFromText, stateText, type ToyChange, toyInput } from './toy-run.js';

/** 6 examples, batch 2, 2 epochs: 6 micro-steps. Rows and columns cross in `both`, and in `coupled` nowhere. */
export const channelRuns: Readonly<Record<string, ToyChange['rowSparse']>> = {
  in: { channels: 'in', rows: 3 },
  both: { channels: 'both', rows: 4, weight_decay: 0.1 },
  coupled: { channels: 'coupled', rows: 2 },
  biases: { channels: 'both', rows: 3, train_biases: true, targets: ['q_proj', 'v_proj', 'down_proj'] },
  dropout: { channels: 'both', rows: 4, update_dropout: 0.2, gradient_accumulation_steps: 2 },
};

/** The model of a run: q, k and v have a bias where biases are trained. */
export const channelModel = ({ ops }: Engine, name: string): CausalLM =>
  createCausalLM(ops, tinyModel(41, channelRuns[name]?.train_biases ? { qkv_bias: true } : {}));

export const channelRun = (name: string, model: CausalLM): ToyChange => ({
  model,
  trainExamples: countingExamples(6, 6),
  validExamples: countingExamples(2, 7),
  rowSparse: { ...channelRuns[name], eval_every_steps: 2 },
  batch: 2,
  epochs: 2,
});

/** States of runs stopped after three micro-steps, as JSON by run. */
export async function firstHalves(): Promise<string> {
  const engine = await openEngine();
  const states: Record<string, string> = {};
  for (const name of Object.keys(channelRuns)) {
    const stop = new AbortController();
    const input = toyInput(engine, { ...channelRun(name, channelModel(engine, name)), signal: stop.signal });
    const { lossAndGrads } = input.model;
    let microSteps = 0;
    input.model.lossAndGrads = (...call) => {
      if (++microSteps === 3) stop.abort();
      return lossAndGrads.apply(input.model, call);
    };
    const last = (await eventsOf(input)).at(-1);
    if (last?.type !== 'stopped') throw new Error(`${name} ended with ${last?.type}`);
    states[name] = stateText(last.state);
  }
  return JSON.stringify(states);
}

/** path: of a file with the states. Every event since, as text, as JSON by run. */
export async function secondHalves(path: string): Promise<string> {
  const engine = await openEngine();
  const texts: Record<string, string> = {};
  for (const [name, state] of Object.entries(JSON.parse(await readFile(path, 'utf8')) as Record<string, string>))
    texts[name] = eventsText(
      await eventsOf(toyInput(engine, { ...channelRun(name, channelModel(engine, name)), resume: stateFromText(state) })),
    );
  return JSON.stringify(texts);
}
