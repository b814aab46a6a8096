/** The data of the quickstart: examples/ at the root. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { loadChatTemplate, loadTokenizer, modelStore, resolveModelDir } from '@rowsmith/hf';
import { expect, test } from 'vitest';
import { encodeDataset } from './encode.js';
import { validateJsonl } from './validate.js';

const examples = fileURLToPath(new URL('../../../examples/', import.meta.url));
const files = ['train.jsonl', 'valid.jsonl', 'prompts.json'];

async function* bytesOf(file: string) {
  yield await readFile(join(examples, file));
}
const rowsOf = async (file: string) =>
  (await readFile(join(examples, file), 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [question, answer] = (JSON.parse(line) as { messages: { content: string }[] }).messages;
      return { question: question?.content ?? '', answer: answer?.content ?? '' };
    });

test('the generator writes the committed bytes', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'rowsmith-examples-'));
  try {
    await promisify(execFile)(process.execPath, [join(examples, 'generate.mjs'), folder]);
    for (const file of files) expect(await readFile(join(folder, file)), file).toEqual(await readFile(join(examples, file)));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test('valid, and small enough for the quickstart', async () => {
  const dir = await resolveModelDir(modelStore(process.env), 'smollm2-135m-instruct');
  const options = {
    tokenizer: await loadTokenizer(dir),
    template: await loadChatTemplate(dir),
    maxSeqLength: 128,
    trainOn: 'assistant',
    eosId: 2,
  } as const;
  for (const [file, rows, most] of [
    ['train.jsonl', 360, 35_000],
    ['valid.jsonl', 40, 4_000],
  ] as const) {
    expect(await validateJsonl(bytesOf(file))).toMatchObject({ shape: 'chat', examples: rows, errorCount: 0, warnings: [] });
    const { counts } = await encodeDataset(bytesOf(file), options);
    expect(counts).toMatchObject({ examples: rows, truncated: 0, dropped: 0 });
    expect(counts.tokens).toBeLessThan(most);
  }
});

test('no held-out order is in the training set, not in other words either; the prompts are held out', async () => {
  const train = await rowsOf('train.jsonl');
  const held = await rowsOf('valid.jsonl');
  for (const key of ['question', 'answer'] as const) {
    const all = [...train, ...held].map((row) => row[key]);
    expect(new Set(all).size, key).toBe(all.length);
  }
  const prompts = JSON.parse(await readFile(join(examples, 'prompts.json'), 'utf8')) as string[];
  expect(prompts).toEqual(held.slice(0, 4).map(({ question }) => question));
});
