/** For tests: runs on a tiny quantised model, also in processes of their own. */
import type { CheckpointState } from '@rowsmith/contracts';
import { type Engine, openEngine } from '../engine.js';
import type { CausalLM } from '../models/causal-lm.js';
import { createCausalLM } from '../models/decoder.js';
import { tinyModel } from '../models/tiny-model.js';
import { countingExamples, eventsOf, eventsText, stateFromText, stateText, type ToyChange, toyInput } from '../train/toy-run.js';
import { train } from '../train/train.js';
import type { TrainEvent, TrainInput } from '../train/types.js';
import type { Quantization } from './formats.js';

export const quantizations: readonly Quantization[] = [
  { kind: 'nf4', double: false },
  { kind: 'nf4', double: true },
  { kind: 'int8', double: false },
  { kind: 'bf16', double: false },
];

export interface QuantisedRun extends Quantization {
  readonly rowSparse?: ToyChange['rowSparse'];
}
/** Also rows and columns that cross, with an update path of their own. */
export const resumedRuns: readonly QuantisedRun[] = [
  ...quantizations,
  { kind: 'nf4', double: true, rowSparse: { channels: 'both', update_dropout: 0.2 } },
];

export function quantisedToy(engine: Engine, quantization: Quantization): CausalLM {
  return createCausalLM(engine.ops, tinyModel(41), { quantization });
}

/** 12 examples in steps of 4, 4 epochs: 12 steps; validation every 3. */
export function quantisedInput(engine: Engine, { rowSparse, ...quantization }: QuantisedRun, resume?: CheckpointState): TrainInput {
  return toyInput(engine, {
    model: quantisedToy(engine, quantization),
    trainExamples: countingExamples(12, 6),
    validExamples: countingExamples(3, 7),
    rowSparse: { rows: 3, eval_every_steps: 3, ...rowSparse },
    epochs: 4,
    ...(resume && { resume }),
  });
}

export async function wholeRun(engine: Engine, run: QuantisedRun): Promise<TrainEvent[]> {
  return eventsOf(quantisedInput(engine, run));
}

/** In a new process: the states after step 5, one for each of `resumedRuns`. A list of texts, as JSON. */
export async function firstParts(): Promise<string> {
  const engine = await openEngine();
  const states: string[] = [];
  for (const run of resumedRuns) {
    const input = { ...quantisedInput(engine, run), wantsCheckpoint: (step: number) => step === 5 };
    for await (const event of train(input)) {
      if (event.type !== 'checkpoint') continue;
      states.push(stateText(event.state));
      break;
    }
  }
  return JSON.stringify(states);
}

/** In a new process: every event since those states. A list of texts, as JSON. */
export async function secondParts(states: string): Promise<string> {
  const engine = await openEngine();
  const texts: string[] = [];
  for (const [i, state] of (JSON.parse(states) as string[]).entries()) {
    const run = resumedRuns[i];
    if (!run) throw new RangeError('more states than runs');
    texts.push(eventsText(await eventsOf(quantisedInput(engine, run, stateFromText(state)))));
  }
  return JSON.stringify(texts);
}
