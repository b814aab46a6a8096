/** From a Hugging Face folder to the numbers of transformers: importer and engine together, for every family of the engine's fixtures. */
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Engine, openEngine } from '@rowsmith/engine';
import { addImported, importFolder, openSafetensors } from '@rowsmith/hf';
import { afterAll, beforeAll, expect, it } from 'vitest';

interface Expected {
  readonly cases: readonly { readonly ids: readonly number[]; readonly labels: readonly number[]; readonly loss: number }[];
  readonly prompt: readonly number[];
  readonly greedy: readonly number[];
}

const fixtures = fileURLToPath(new URL('../../../packages/engine/fixtures/families/', import.meta.url));
let engine: Engine;
let store = '';
beforeAll(async () => {
  engine = await openEngine();
  store = await mkdtemp(join(tmpdir(), 'rowsmith-families-'));
});
afterAll(() => rm(store, { recursive: true }));

it.each(readdirSync(fixtures))('%s: logits within 1e-4, loss within 1e-6 of itself, and the greedy continuation', async (name) => {
  const folder = join(fixtures, name);
  const { index, dir } = await addImported(await importFolder(folder), { store, id: name, now: () => 0 });
  const model = await engine.loadModel({ index, weightsPath: join(dir, 'weights.bin') }, { rowTensors: [] });
  const { cases, prompt, greedy } = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as Expected;
  const expected = await openSafetensors(join(folder, 'expected.safetensors'), 'expected.safetensors');
  for (const [i, { ids, labels, loss }] of cases.entries()) {
    const batch = { size: 1, length: ids.length, ids: Int32Array.from(ids), labels: Int32Array.from(labels) };
    const logits = model.logits(batch.ids);
    const wanted = await expected.readRows(`${i}.logits`, 0, ids.length);
    expect(logits.length).toBe(wanted.length);
    expect(logits.reduce((most, value, at) => Math.max(most, Math.abs(value - (wanted[at] ?? Number.NaN))), 0)).toBeLessThan(1e-4);
    expect(Math.abs(model.loss(batch).lossSum - loss) / loss).toBeLessThan(1e-6);
  }
  expect(Array.from(model.generate(Int32Array.from(prompt), { maxNewTokens: greedy.length, stopIds: [] }))).toEqual(greedy);
  await expected.close();
  model.dispose();
});
