import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { WorkerId } from '@rowsmith/contracts';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { takeScratch, WorkerIdInUseError } from './scratch.js';

const [one, two] = ['worker-000000000000000000000001', 'worker-000000000000000000000002'] as [WorkerId, WorkerId];
let data = '';
beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'rowsmith-scratch-'));
});
afterEach(() => rm(data, { recursive: true }));

test('two living workers cannot have one id, and do not touch each other', async () => {
  const first = await takeScratch(data, one);
  await writeFile(join(first.dir, 'in-use'), '');
  await expect(takeScratch(data, one)).rejects.toBeInstanceOf(WorkerIdInUseError);
  const second = await takeScratch(data, two);
  expect(await readdir(first.dir)).toEqual(['in-use']);
  await second.release();
  await first.release();
  expect(await readdir(join(data, 'scratch'))).toEqual([]);
  await (await takeScratch(data, one)).release();
});

test('what a killed worker left is removed, also by one with another id; folders of other machines stay', async () => {
  const { dir, release } = await takeScratch(data, one);
  await release();
  await mkdir(join(dir, 'ftjob-x-e1'), { recursive: true });
  const elsewhere = join(data, 'scratch', `ffffffffffff-${one}`);
  await mkdir(elsewhere);
  const scratch = await takeScratch(data, two);
  expect((await readdir(join(data, 'scratch'))).sort()).toEqual([`ffffffffffff-${one}`, scratch.dir.split('/').at(-1)].sort());
  await scratch.release();
});

test('workers that start at the same moment after all were killed do not take one another for a twin', async () => {
  const ids = Array.from({ length: 8 }, (_, n) => `worker-${String(n).padStart(24, '0')}` as WorkerId);
  for (let round = 0; round < 10; round++) {
    const all = await Promise.all(
      ids.map(async (id, place) => {
        for (let turn = 0; turn < place * round; turn++) await new Promise(setImmediate);
        return takeScratch(data, id);
      }),
    );
    await Promise.all(all.map(({ dir }) => writeFile(join(dir, 'in-use'), '')));
    expect((await readdir(join(data, 'scratch'))).sort()).toEqual(all.map(({ dir }) => dir.split('/').at(-1)).sort());
    await Promise.all(all.map(({ release }) => release()));
    await Promise.all(all.map(({ dir }) => mkdir(join(dir, 'left', 'be', 'hind'), { recursive: true })));
  }
});
