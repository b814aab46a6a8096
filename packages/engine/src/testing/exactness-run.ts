/** For tests of exactness: drawn configurations on tiny models, run whole and in parts. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { CheckpointState, DecoderConfig, EncodedExample, RowSparseConfig } from '@rowsmith/contracts';
import { type Engine, engineOf, openEngine } from '../engine.js';
import type { RowPlan, TrainableModel } from '../models/causal-lm.js';
import { createCausalLM } from '../models/decoder.js';
import { createClassifier } from '../models/encoder.js';
import { tinyModel } from '../models/tiny-model.js';
import { FusedOps } from '../ops/fused-ops.js';
import { StockOps } from '../ops/stock-ops.js';
import { quantizationOf } from '../quant/formats.js';
import { planFromIndices } from '../rows/plan-from-indices.js';
import { planFromScores } from '../rows/plan-from-scores.js';
import { scoreChannels } from '../rows/score-channels.js';
import { philox } from '../runtime/philox.js';
import { countingExamples, eventsText, stateFromText, stateText, toyInput, toyRowSparse } from '../train/toy-run.js';
import { train } from '../train/train.js';
import type { TrainEvent, TrainInput } from '../train/types.js';
import { encoderFixture } from './encoder-fixture.js';
import type { Architecture, Draw } from './exactness-draw.js';

const classified = (examples: readonly EncodedExample[]): EncodedExample[] =>
  examples.map(({ ids }, i) => ({ ids, labels: new Int32Array(ids.length).fill(-100), types: ids.map((id) => id % 2), label: i % 3 }));
const counting = { trainExamples: countingExamples(7, 6), validExamples: countingExamples(3, 7) };
const examplesOf = ({ architecture }: Draw) =>
  architecture === 'encoder'
    ? { trainExamples: classified(counting.trainExamples), validExamples: classified(counting.validExamples) }
    : counting;

const engines = new Map<string, Engine>();

/** The operators that a draw names; where the fused ones cannot be loaded everything is stock. */
function engineFor({ operators, ops: { runtime } }: Engine, { operators: drawn, rowSparse: { precision } }: Draw): Engine {
  const kind = operators.kind === 'stock' ? 'stock' : drawn;
  const known = engines.get(`${kind} ${precision}`);
  if (known) return known;
  const made =
    kind === 'fused'
      ? engineOf(new FusedOps(runtime, precision), { kind })
      : engineOf(new StockOps(runtime, precision), { kind, reason: 'drawn' });
  engines.set(`${kind} ${precision}`, made);
  return made;
}

const settingsOf = ({ rowSparse }: Draw): RowSparseConfig => ({ ...toyRowSparse, ...rowSparse });

/** q, k and v have biases, whether they are trained or not. */
const decoders: Readonly<Record<Exclude<Architecture, 'encoder'>, Partial<DecoderConfig>>> = {
  llama: { qkv_bias: true },
  gemma: {
    ...{ qkv_bias: true, qk_norm: true, post_norms: true, activation: 'gelu_tanh', embed_scale: 4, attention_softcap: 5, logit_softcap: 3 },
    ...{ windows: [3, 0], ropes: [{ theta: 10_000 }, { theta: 50_000, dim: 4 }], rope_of_layer: [1, 0] },
  },
};

function modelOf({ ops }: Engine, draw: Draw, part: number): TrainableModel {
  const { architecture } = draw;
  const options = { memory: draw.memory[part] ?? 'fast', quantization: quantizationOf(settingsOf(draw)) };
  if (architecture === 'encoder') return createClassifier(ops, encoderFixture().model, options);
  return createCausalLM(ops, tinyModel(41, decoders[architecture]), options);
}

async function plan(engine: Engine, model: TrainableModel, draw: Draw): Promise<RowPlan> {
  const config = settingsOf(draw);
  const { scores } = await scoreChannels({
    engine,
    model,
    config,
    seed: draw.seed,
    examples: examplesOf(draw).trainExamples,
    batchSize: draw.batch,
  });
  return planFromScores(model, config, scores);
}

/** Small updates in the layout of a run that has not begun. */
function warmStart(seed: number, buffers: CheckpointState['buffers']): CheckpointState['buffers'] {
  return new Map(
    [...buffers]
      .filter(([name]) => name.startsWith('delta.'))
      .map(([name, { shape, data }]) => [name, { shape, data: philox(seed, name, 0).fill(new Float32Array(data.length), -0.01, 0.01) }]),
  );
}

async function inputOf(engine: Engine, draw: Draw, part: number, resume?: CheckpointState): Promise<TrainInput> {
  const model = modelOf(engine, draw, part);
  const input = toyInput(engine, {
    ...{ model, seed: draw.seed, batch: draw.batch, epochs: draw.epochs, rowSparse: settingsOf(draw), ...examplesOf(draw) },
    plan: resume ? planFromIndices(model, resume.indices, resume.columns, resume.biases) : await plan(engine, model, draw),
    ...(resume && { resume }),
  });
  if (!draw.warm || resume) return input;
  const stopped = AbortSignal.abort();
  for await (const event of train({ ...input, signal: stopped, validExamples: [] }))
    if (event.type === 'stopped') return { ...input, warmStart: warmStart(draw.seed, event.state.buffers) };
  throw new Error('the run began in spite of its signal');
}

/** What of a run must not depend on interruptions, in full: checkpoints on the way are made where somebody wants them, unless they are the best. */
export function lineOf(event: TrainEvent): string[] {
  if (event.type === 'stopped' || (event.type === 'checkpoint' && !event.best)) return [];
  if (event.type !== 'done') return [eventsText([event])];
  const hash = createHash('sha256');
  for (const [name, { indices, delta, columns, columnDelta, biasDelta }] of event.delta) {
    hash.update(name);
    for (const part of [indices, delta, columns, columnDelta, biasDelta])
      hash.update(`${part?.length} `).update(part ? new Uint8Array(part.buffer, part.byteOffset, part.byteLength) : '');
  }
  return [`${eventsText([event])} ${hash.digest('hex')}`];
}

export interface Part {
  readonly lines: readonly string[];
  /** Where it was interrupted; null: it ran to its end. */
  readonly state: string | null;
}

/** Runs from `from` (the beginning) until the interruption, or to the end. */
export async function runPart(
  engine: Engine,
  draw: Draw,
  part: number,
  from: string | null,
  until?: Draw['interruptions'][number],
): Promise<Part & { readonly microSteps: number }> {
  const own = engineFor(engine, draw);
  const stop = new AbortController();
  const input = { ...(await inputOf(own, draw, part, from === null ? undefined : stateFromText(from))), signal: stop.signal };
  const { model } = input;
  const { lossAndGrads, loss } = model;
  const limit = until?.at ?? Number.POSITIVE_INFINITY;
  let microSteps = 0;
  model.lossAndGrads = (...call) => {
    if (++microSteps > limit && until?.how === 'stop') stop.abort();
    return lossAndGrads.apply(model, call);
  };
  // An evaluation that the signal meets is dropped whole.
  model.loss = (...call) => {
    if (microSteps >= limit && until?.how === 'stop') stop.abort();
    return loss.apply(model, call);
  };
  const lines: string[] = [];
  let state: string | null = null;
  for await (const event of train({ ...input, wantsCheckpoint: () => until?.how === 'kill' && microSteps >= limit })) {
    lines.push(...lineOf(event));
    const killed = event.type === 'checkpoint' && until?.how === 'kill' && microSteps >= limit;
    if (!killed && event.type !== 'stopped') continue;
    state = stateText(event.state);
    break;
  }
  model.dispose();
  return { lines, state, microSteps };
}

/** In a new process; path: of a JSON list of draws, the state of each and the number of its part. The lines since then, likewise. */
export async function finishAll(path: string): Promise<string> {
  const engine = await openEngine();
  const all = JSON.parse(await readFile(path, 'utf8')) as { draw: Draw; state: string; part: number }[];
  const lines: (readonly string[])[] = [];
  for (const { draw, state, part } of all) lines.push((await runPart(engine, draw, part, state)).lines);
  return JSON.stringify(lines);
}
