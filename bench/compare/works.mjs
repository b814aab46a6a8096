/** What both sides train on. Random tokens come from a linear congruential generator, every label counts; chat files label answers only. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeChatExamples } from './chat-files.mjs';

/** steps: timed ones, after one to warm up; rounds: how often, at most, in a full and in a quick run. */
export const works = {
  '4x256': {
    batch: 4,
    length: 256,
    steps: 3,
    rounds: { full: 3, quick: 1 },
    sides: ['fast', 'low', 'lora', 'lora_checkpointing', 'full', 'rows'],
  },
  '1x512': { batch: 1, length: 512, steps: 4, rounds: { full: 3, quick: 1 }, sides: ['fast', 'low', 'lora', 'lora_checkpointing'] },
  '1x2048': { batch: 1, length: 2048, steps: 2, rounds: { full: 2, quick: 0 }, sides: ['fast', 'low', 'lora', 'lora_checkpointing'] },
  sql: { batch: 8, chat: true, steps: 3, rounds: { full: 2, quick: 0 }, sides: ['fast', 'lora'] },
  dates: { batch: 8, chat: true, steps: 3, rounds: { full: 1, quick: 0 }, sides: ['fast', 'lora'] },
};
/** Peers beside LoRA need one round: they are no one's target. */
export const onceOnly = new Set(['lora_checkpointing', 'full', 'rows']);

/** Path of the examples, [{ids, labels}]. */
export async function examplesOf(name, model, vocabulary, scratch) {
  const path = join(scratch, `${name}.json`);
  const { batch, length, chat, steps } = works[name];
  if (chat) await writeChatExamples(name, model, path);
  else {
    let state = 1;
    const next = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state % vocabulary;
    };
    const ids = () => Array.from({ length }, next);
    const examples = Array.from({ length: (steps + 1) * batch }, ids);
    await writeFile(path, JSON.stringify(examples.map((sequence) => ({ ids: sequence, labels: sequence }))));
  }
  return path;
}

/** Share of the tokens of recorded batches whose label counts, and their mean length. */
export async function shapeOf(path) {
  const batches = JSON.parse(await readFile(path, 'utf8')).flat();
  const tokens = batches.reduce((sum, { ids }) => sum + ids.length, 0);
  const labelled = batches.reduce((sum, { labels }) => sum + labels.slice(1).filter((label) => label !== -100).length, 0);
  return { length: tokens / batches.length, labelledShare: labelled / tokens };
}
