/** Each place where a trainer writes, on a disk that is full at every page of it: the failure is the machine's, and nothing half counts as there. */
import { mkdirSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CheckpointState, FromTrainer, JobSpec, TrainerStart } from '@rowsmith/contracts';
import { trainerExit } from '@rowsmith/contracts';
import type { LinearInfo, RowPlan } from '@rowsmith/engine';
import { FsObjectStore } from '@rowsmith/storage';
import { addTinyModel, fillAtEveryPage, folderOn, mountSmallDisk } from '@rowsmith/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Binding } from './checkpoint-manifest.js';
import { Checkpoints } from './checkpoints.js';
import { storeSelection } from './choose-rows.js';
import { failureOf } from './failure.js';
import type { Objects } from './object-files.js';
import { findCheckpoint } from './resume.js';
import { findScores, type ScoresIdentity, storeScores } from './scores-file.js';
import { adapterFiles, attempt, resumeFrom } from './testing/attempt.js';
import { putRows, smallJob } from './testing/small-job.js';

const disk = mountSmallDisk(8 << 20);
let elsewhere = '';
beforeAll(async () => {
  elsewhere = await mkdtemp(join(tmpdir(), 'rowsmith-full-'));
});
afterAll(async () => {
  disk?.unmount();
  await rm(elsewhere, { recursive: true, force: true });
});

const diskFull = { type: 'failed', class: 'infra', code: 'disk_full' };
const linear: LinearInfo = {
  ...{ name: 'm.q', target: 'q_proj', outFeatures: 2_000, inFeatures: 8, layer: 0, tensor: 'layers.0.x', rowOffset: 0 },
};
const binding: Binding = {
  ...{ job_id: 'ftjob-1', config_sha256: 'c'.repeat(64), base_sha256: 'b'.repeat(64), data_sha256: 'd'.repeat(64), operators: 'stock' },
};
/** 300 rows: rows and optimizer take three pages each. */
const buffer = (seed: number) => ({ shape: [300, 8], data: Float32Array.from({ length: 2_400 }, (_, i) => Math.sin(seed + i)) });
const state: CheckpointState = {
  step: 1,
  buffers: new Map([
    ['delta.8', buffer(1)],
    ['adam_m.8', buffer(2)],
  ]),
  indices: new Map([['m.q', Int32Array.from({ length: 300 }, (_, i) => 5 * i)]]),
  cursor: { epoch: 0, position: 1 },
};
const identity: ScoresIdentity = {
  ...{ scorer: 'l2', seed: null, base_sha256: binding.base_sha256, data_sha256: null, operators: 'stock', options: {} },
};
const scores = new Map([['m.q', { out: buffer(3).data, in: Float32Array.of(1, 2) }]]);

async function saved(store: Objects): Promise<TrainerStart['resume_from'] | null> {
  const sent: FromTrainer[] = [];
  const options = { store, folder: 'jobs/ftjob-1/e1', epoch: 1, binding, threads: 1, linears: [linear], keep: 3, everyMs: 0 };
  const send = async (message: FromTrainer) => void sent.push(message);
  await new Checkpoints({ ...options, clock: () => 0, wanted: () => null, send, earlier: [], bestStep: null }).write(state, { step: 1 });
  return sent.flatMap((message) => (message.type === 'checkpoint' ? [message] : []));
}

describe.runIf(disk !== null)('on a full disk', () => {
  if (disk === null) return;
  const failures = async (write: () => Promise<unknown>, left: () => Promise<unknown>, atLeast: number) => {
    const found = await fillAtEveryPage(disk, { write, left });
    expect(found.length).toBeGreaterThanOrEqual(atLeast);
    for (const { error } of found) expect(failureOf(error)).toMatchObject(diskFull);
    return found.map((failure) => failure.left);
  };
  const keysOf = async (store: FsObjectStore) => {
    const keys: string[] = [];
    for await (const { key } of store.list('')) keys.push(key);
    return keys;
  };

  test('a checkpoint has no manifest until it is whole, and the next attempt writes it', async () => {
    let tries = 0;
    let store = new FsObjectStore(elsewhere);
    const left = await failures(
      () => {
        // Of its own each time, as attempts have folders of their own.
        store = new FsObjectStore(folderOn(disk, `checkpoint-${tries++}`));
        return saved(store);
      },
      async () => (await keysOf(store)).filter((key) => key.endsWith('.json')),
      6,
    );
    expect(left).toEqual(left.map(() => []));
    const refs = (await saved(store)) ?? [];
    const found = await findCheckpoint(store, refs, binding, [linear], elsewhere);
    expect(found.state?.buffers.get('adam_m.8')).toEqual(buffer(2));
    expect((await disk.names()).filter((name) => name.includes('tmp'))).toEqual([]);
  });

  test('a checkpoint that cannot be fetched is no damaged one, and its scratch is gone', async () => {
    const store = new FsObjectStore(join(elsewhere, 'fetched'));
    const refs = (await saved(store)) ?? [];
    const scratch = folderOn(disk, 'scratch');
    const left = await failures(
      () => findCheckpoint(store, refs, binding, [linear], scratch),
      () => readdir(scratch),
      6,
    );
    expect(left).toEqual(left.map(() => []));
  });

  test('scores and rows chosen: nothing that another job could take', async () => {
    const store = new FsObjectStore(folderOn(disk, 'scores'));
    const find = () => findScores(store, identity, [linear], elsewhere);
    expect(await failures(() => storeScores(store, identity, scores, 1), find, 4)).toEqual(expect.not.arrayContaining([expect.anything()]));
    expect(await find()).toMatchObject({ scores });
    const plan = { modules: [{ name: 'm.q', indices: Int32Array.from({ length: 2_000 }, (_, i) => i) }] } as unknown as RowPlan;
    const spec = { job_id: 'ftjob-1', base_sha256: binding.base_sha256 } as JobSpec;
    const chosen = async () => (await keysOf(store)).filter((key) => key.startsWith('jobs/'));
    const left = await failures(() => storeSelection(store, spec, plan), chosen, 3);
    expect(left).toEqual(left.map(() => []));
    expect(await chosen()).toHaveLength(1);
  });

  test('scores that cannot be fetched are not scored again over what is stored', async () => {
    const store = new FsObjectStore(join(elsewhere, 'scored'));
    await storeScores(store, identity, scores, 1);
    let tries = 0;
    await failures(
      () => findScores(store, identity, [linear], folderOn(disk, `fetched-${tries++}`)),
      async () => null,
      3,
    );
  });
});

describe.runIf(disk !== null)('a whole attempt', () => {
  if (disk === null) return;
  test('with a full store, then full scratch space, leaves nothing; the one after it ends with the bytes of the undisturbed run', async () => {
    const models = join(elsewhere, 'models');
    const { id, base_sha256 } = await addTinyModel(models);
    const [quiet, store, scratch] = [join(elsewhere, 'quiet'), folderOn(disk, 'objects'), folderOn(disk, 'tmp')];
    mkdirSync(quiet);
    const text = (word: string) => ({ prompt: `say ${word}: `, completion: word.repeat(3) });
    const rows = ['ab', 'cd', 'efg', 'h'].map(text);
    const small = await smallJob(quiet);
    const start = async (root: string): Promise<TrainerStart> => ({
      ...{ type: 'start', epoch: 1, storage: { driver: 'fs', root }, model_dir: join(models, 'tiny'), resume_from: [] },
      spec: {
        ...{ ...small, model: id, base_sha256, validation_data: null, training_data: await putRows(root, 'files/tiny.jsonl', rows) },
        row_sparse: { ...small.row_sparse, layers: [0, 1], max_steps: 3, sample_prompts: [] },
      },
    });
    const undisturbed = await attempt(await start(quiet));
    const message = await start(store);
    const env = { TMPDIR: scratch };

    disk.leave(0);
    const noStore = await attempt(message, undefined, env);
    expect([noStore.code, noStore.one('failed'), noStore.all('checkpoint')]).toEqual([
      trainerExit.infra,
      expect.objectContaining(diskFull),
      [],
    ]);
    disk.free();

    // From the last checkpoint on only the adapter is made, in scratch space first: two pages hold a part of it.
    let saved = 0;
    const noScratch = await attempt(
      { ...message, epoch: 2 },
      (heard) => {
        if (heard.type === 'checkpoint' && ++saved === 1) disk.leave(2);
      },
      env,
    );
    expect([noScratch.code, noScratch.one('failed'), noScratch.all('done')]).toEqual([
      trainerExit.infra,
      expect.objectContaining(diskFull),
      [],
    ]);
    expect(await readdir(scratch)).toEqual([]);
    disk.free();

    const last = await attempt({ ...message, epoch: 3, resume_from: resumeFrom(noScratch) }, undefined, env);
    expect(last.code).toBe(trainerExit.done);
    expect(await adapterFiles(store, last.one('done'))).toEqual(await adapterFiles(quiet, undisturbed.one('done')));
    expect([await readdir(scratch), (await disk.names()).filter((name) => /\.tmp-/.test(name))]).toEqual([[], []]);
  });
});
