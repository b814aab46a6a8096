/** Scores as objects: stored, found again, mended, named by the job; rows taken over from another job. The built trainer on a tiny model. */
import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readRows } from '@rowsmith/adapter';
import {
  AdapterManifest,
  type JobSpec,
  type ObjectRef,
  parseAs,
  ScoresManifest,
  ScoresReference,
  Selection,
  scoresKeyOf,
  selectionKeyOf,
  type TrainerStart,
  trainerExit,
} from '@rowsmith/contracts';
import { openSafetensors } from '@rowsmith/hf';
import { addTinyModel } from '@rowsmith/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256Of } from './object-files.js';
import { attempt, type Ended } from './testing/attempt.js';
import { putRows, smallJob } from './testing/small-job.js';

let root = '';
let spec: JobSpec;
const start = (job_id: string, row_sparse: Partial<JobSpec['row_sparse']> = {}, changes: Partial<JobSpec> = {}): TrainerStart => ({
  type: 'start',
  spec: { ...spec, job_id, ...changes, row_sparse: { ...spec.row_sparse, ...row_sparse } },
  epoch: 1,
  storage: { driver: 'fs', root },
  model_dir: join(root, 'models', 'tiny'),
  resume_from: [],
});
const json = async (key: string): Promise<unknown> => JSON.parse(await readFile(join(root, key), 'utf8'));
const selectionOf = async (id: string) => parseAs(Selection, await json(selectionKeyOf(id)), 'selection');
const manifestRef = async (id: string): Promise<ObjectRef> => parseAs(ScoresReference, await json(scoresKeyOf(id)), 'reference').manifest;
const manifestOf = async (id: string) => parseAs(ScoresManifest, await json((await manifestRef(id)).key), 'manifest');
const scoring = (ended: Ended) => ended.all('phase').flatMap(({ phase, message }) => (phase === 'scoring' ? [message] : []));

let first: Ended;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'rowsmith-scores-'));
  const { id, base_sha256 } = await addTinyModel(join(root, 'models'));
  const small = await smallJob(root);
  const text = (word: string) => ({ prompt: `say ${word}: `, completion: word.repeat(3) });
  spec = {
    ...small,
    ...{ model: id, base_sha256, hyperparameters: { n_epochs: 1, batch_size: 2, learning_rate_multiplier: 1 }, validation_data: null },
    training_data: await putRows(root, 'files/tiny.jsonl', ['ab', 'cd', 'efg', 'h', 'ij', 'klm'].map(text)),
    row_sparse: { ...small.row_sparse, scorer: 'taylor', rows: 4, layers: [0, 1], max_steps: 1, sample_prompts: [] },
  };
  first = await attempt(start('ftjob-first'));
}, 60_000);
afterAll(() => rm(root, { recursive: true, force: true }));

describe('a job that scores', () => {
  it('leaves its scores whole, with what they depend on', async () => {
    expect(first.code).toBe(trainerExit.done);
    const ref = await manifestRef('ftjob-first');
    const manifest = await manifestOf('ftjob-first');
    expect(sha256Of(await readFile(join(root, ref.key)))).toBe(ref.sha256);
    expect(sha256Of(await readFile(join(root, manifest.file.key)))).toBe(manifest.file.sha256);
    expect(manifest).toMatchObject({
      ...{ scorer: 'taylor', seed: 7, base_sha256: spec.base_sha256, data_sha256: expect.stringMatching(/^[0-9a-f]{64}$/), batches: 3 },
      options: { calibration_batches: 50, batch_size: 2, layers: [0, 1], targets: ['down_proj', 'q_proj'] },
    });
    expect(manifest.modules.map(({ name }) => name.replace('model.layers.', ''))).toEqual([
      '0.self_attn.q_proj',
      '0.mlp.down_proj',
      '1.self_attn.q_proj',
      '1.mlp.down_proj',
    ]);
    const file = await openSafetensors(join(root, manifest.file.key));
    for (const { name, rows, columns } of manifest.modules) {
      for (const [summary, scores] of [
        [rows, await file.readF32(`${name}.rows`)],
        [columns, await file.readF32(`${name}.columns`)],
      ] as const)
        expect(summary).toMatchObject({ channels: scores.length, max: Math.max(...scores), argmax: scores.indexOf(Math.max(...scores)) });
      // Both are sums of the same entries.
      expect(rows.mean * rows.channels).toBeCloseTo(columns.mean * columns.channels, 5);
    }
    await file.close();
  });

  it('trains the rows with the largest scores and says which', async () => {
    const manifest = await manifestOf('ftjob-first');
    const { modules } = await selectionOf('ftjob-first');
    const adapter = parseAs(AdapterManifest, await json(first.one('done').manifest_key), 'adapter');
    const rowsKey = adapter.files.find(({ name }) => name === 'rows.safetensors')?.key as string;
    const delta = await readRows(join(root, rowsKey), { baseSha256: spec.base_sha256 });
    const file = await openSafetensors(join(root, manifest.file.key));
    for (const { name, rows, columns } of modules) {
      expect([...(delta.get(name)?.indices ?? [])]).toEqual(rows);
      expect(columns).toEqual([]);
      const scores = await file.readF32(`${name}.rows`);
      const best = [...scores.keys()].sort((a, b) => (scores[b] as number) - (scores[a] as number) || a - b).slice(0, 4);
      expect(rows).toEqual(best.sort((a, b) => a - b));
    }
    await file.close();
  });
});

describe('another job', () => {
  it('with the same data, base, scorer and seed finds the scores', async () => {
    const ref = await manifestRef('ftjob-first');
    const { key } = (await manifestOf('ftjob-first')).file;
    const written = (await stat(join(root, key))).mtimeMs;
    const second = await attempt(start('ftjob-second', { rows: 2, learning_rate: 0.01 }));
    expect(scoring(second)).toEqual(['Choosing rows by taylor: scored before']);
    expect(await manifestRef('ftjob-second')).toEqual(ref);
    expect((await stat(join(root, key))).mtimeMs).toBe(written);
    const [four, two] = [await selectionOf('ftjob-first'), await selectionOf('ftjob-second')];
    for (const [i, { rows }] of two.modules.entries()) {
      expect(rows).toHaveLength(2);
      expect(four.modules[i]?.rows).toEqual(expect.arrayContaining(rows));
    }
  });

  it('scores again when the stored scores are damaged, and mends them', async () => {
    const { key } = await manifestRef('ftjob-first');
    const data = join(root, (await manifestOf('ftjob-first')).file.key);
    const [manifest, scores] = [await readFile(join(root, key)), await readFile(data)];
    const damages: readonly (() => Promise<void>)[] = [
      () =>
        writeFile(
          data,
          scores.map((byte, i) => (i === scores.length - 1 ? byte ^ 1 : byte)),
        ),
      () => truncate(join(root, key), manifest.length - 1),
      // Still a manifest, but not of these scores.
      () => writeFile(join(root, key), manifest.toString('utf8').replace('"batches":3', '"batches":4').replace('"seed":7', '"seed":8')),
    ];
    for (const [i, damage] of damages.entries()) {
      await damage();
      const ended = await attempt(start(`ftjob-mends-${i}`));
      expect(ended.code).toBe(trainerExit.done);
      expect(scoring(ended)).toEqual(['Choosing rows by taylor']);
      expect(ended.log).toContain('stored scores are damaged');
      expect((await readFile(join(root, key))).equals(manifest)).toBe(true);
      expect((await readFile(data)).equals(scores)).toBe(true);
      expect(await selectionOf(`ftjob-mends-${i}`)).toEqual(await selectionOf('ftjob-first'));
    }
  });

  it('with another seed does not find them; scores of the weights alone do not depend on it', async () => {
    const folders = async () => (await readdir(join(root, 'scores'))).length;
    const before = await folders();
    await attempt(start('ftjob-seed', {}, { seed: 8 }));
    expect(await folders()).toBe(before + 1);
    await attempt(start('ftjob-l2', { scorer: 'l2' }, { seed: 8 }));
    expect(scoring(await attempt(start('ftjob-l2-again', { scorer: 'l2' }, { seed: 9 })))).toEqual(['Choosing rows by l2: scored before']);
    expect(await folders()).toBe(before + 2);
    expect(await manifestOf('ftjob-l2')).toMatchObject({ seed: null, data_sha256: null, batches: 0 });
  });

  it('takes the rows of the first without scoring', async () => {
    const key = selectionKeyOf('ftjob-first');
    const bytes = await readFile(join(root, key));
    const reuse_rows = { key, sha256: sha256Of(bytes), bytes: bytes.byteLength };
    const ended = await attempt(start('ftjob-reuse', { reuse_rows_of: 'ftjob-first' }, { reuse_rows, seed: 99 }));
    expect(ended.code).toBe(trainerExit.done);
    expect(scoring(ended)).toEqual(['Taking the rows of ftjob-first']);
    expect(await selectionOf('ftjob-reuse')).toEqual(await selectionOf('ftjob-first'));

    const damaged = await attempt(start('ftjob-reuse-2', {}, { reuse_rows: { ...reuse_rows, sha256: '0'.repeat(64) } }));
    expect(damaged.one('failed')).toMatchObject({ class: 'infra', code: 'object_damaged' });
  });
});

it('stops between the batches of scoring, and leaves nothing half written', async () => {
  const before = await readdir(join(root, 'scores'));
  const ended = await attempt(start('ftjob-stopped', { scorer: 'zo_taylor', zo_estimates: 1000, zo_splits: 3 }), (message, { send }) => {
    if (message.type === 'phase' && message.phase === 'scoring') send({ type: 'stop', reason: 'cancel' });
  });
  expect(ended.code).toBe(trainerExit.stopped);
  expect(ended.one('stopped')).toMatchObject({ reason: 'cancel', step: 0 });
  expect(await readdir(join(root, 'scores'))).toEqual(before);
  await expect(stat(join(root, scoresKeyOf('ftjob-stopped')))).rejects.toThrow(/ENOENT/);
});
