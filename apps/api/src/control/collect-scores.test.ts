import { mkdtemp, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ScoresReference, scoresKeyOf } from '@rowsmith/contracts';
import { type OpenObjectStore, openObjectStore } from '@rowsmith/storage';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { collectScores } from './collect-scores.js';

let root = '';
let objects: OpenObjectStore;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'rowsmith-scores-'));
  objects = await openObjectStore({ driver: 'fs', root });
});
afterEach(async () => {
  objects.close();
  await rm(root, { recursive: true });
});

const noon = Date.UTC(2026, 0, 2, 12);
const hour = 3_600_000;
async function putScores(name: string, at: number): Promise<void> {
  for (const file of ['scores.safetensors', 'manifest.json']) {
    await objects.put(`scores/${name}/${file}`, Buffer.from(name));
    await utimes(join(root, 'scores', name, file), new Date(at), new Date(at));
  }
}
const refer = (job: string, name: string) => {
  const manifest = { key: `scores/${name}/manifest.json`, sha256: 'a'.repeat(64), bytes: 1 };
  const reference: ScoresReference = { format: 'rowsmith-scores-of/1', manifest };
  return objects.put(scoresKeyOf(job), Buffer.from(JSON.stringify(reference)));
};
async function folders(): Promise<string[]> {
  const found = new Set<string>();
  for await (const { key } of objects.list('scores')) found.add(key.split('/')[1] ?? '');
  return [...found].sort();
}

test('old scores that no job names go; what a job names, and what is young, stays', async () => {
  for (const name of ['named', 'forgotten', 'taken']) await putScores(name, noon - 2 * hour);
  await putScores('young', noon);
  // A trainer took them: only their manifest is young, and its reference is on its way.
  await utimes(join(root, 'scores/taken/manifest.json'), new Date(noon), new Date(noon));
  await refer('ftjob-1', 'named');
  // No reference, though it lies where jobs are.
  await objects.put('jobs/ftjob-2/e1/scores.json', Buffer.from('{"manifest":{"key":"scores/forgotten/manifest.json"}}'));
  expect(await collectScores(objects, noon - hour)).toEqual({ looked: 8, removed: 2 });
  expect(await folders()).toEqual(['named', 'taken', 'young']);
  expect(await collectScores(objects, noon + hour)).toEqual({ looked: 6, removed: 4 });
  expect(await folders()).toEqual(['named']);
});

test('while a reference cannot be read nothing goes: what it names is unknown', async () => {
  await putScores('perhaps', noon);
  await refer('ftjob-1', 'other');
  await objects.put(scoresKeyOf('ftjob-2'), Buffer.from('{"format":"rowsmith-scores-of/1"}'));
  await expect(collectScores(objects, noon + hour)).rejects.toThrow(/ftjob-2/);
  expect(await folders()).toEqual(['perhaps']);
});
