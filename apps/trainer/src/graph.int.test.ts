/** A whole job by recorded graphs, in the built trainer on a tiny model. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CheckpointManifest, type JobSpec, parseAs, type TrainerStart, trainerExit } from '@rowsmith/contracts';
import { addTinyModel } from '@rowsmith/testkit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { adapterFiles, attempt, type Ended, resumeFrom } from './testing/attempt.js';
import { putRows, smallJob } from './testing/small-job.js';

let root = '';
let spec: JobSpec;
let epoch = 0;
const start = (execution: JobSpec['row_sparse']['execution'], changes: Partial<TrainerStart> = {}): TrainerStart => ({
  type: 'start',
  spec: { ...spec, row_sparse: { ...spec.row_sparse, execution } },
  epoch: ++epoch,
  storage: { driver: 'fs', root },
  model_dir: join(root, 'models', 'tiny'),
  resume_from: [],
  ...changes,
});

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'rowsmith-graphs-'));
  const { id, base_sha256 } = await addTinyModel(join(root, 'models'));
  const small = await smallJob(root);
  const text = (word: string) => ({ prompt: `say ${word}: `, completion: word.repeat(3) });
  spec = {
    ...small,
    ...{ model: id, base_sha256, hyperparameters: { n_epochs: 2, batch_size: 2, learning_rate_multiplier: 1 } },
    training_data: await putRows(root, 'files/graph.jsonl', ['ab', 'cd', 'efg', 'h', 'ij', 'klm'].map(text)),
    validation_data: await putRows(root, 'files/graph-valid.jsonl', ['xyz', 'uv'].map(text)),
    row_sparse: { ...small.row_sparse, ...{ rows: 4, layers: [0, 1], max_steps: 6, checkpoint_every_seconds: 0, keep_checkpoints: 1 } },
  };
}, 60_000);
afterAll(() => rm(root, { recursive: true, force: true }));

it('has the losses of an eager job; killed and resumed it ends with the same bytes', async () => {
  const [graph, eager] = [await attempt(start('graph')), await attempt(start('eager'))];
  expect([graph.code, eager.code]).toEqual([trainerExit.done, trainerExit.done]);
  const losses = (ended: Ended) => ended.all('metric').flatMap(({ point }) => point.train_loss ?? point.valid_loss ?? []);
  expect(losses(graph)).toHaveLength(losses(eager).length);
  for (const [i, loss] of losses(eager).entries()) expect(Math.abs((losses(graph)[i] as number) - loss)).toBeLessThan(1e-4);

  const killed = await attempt(start('graph'), (message, { kill }) => message.type === 'checkpoint' && message.step === 3 && kill());
  const [checkpoint] = resumeFrom(killed);
  if (!checkpoint) throw new Error('no checkpoint');
  const manifest = parseAs(CheckpointManifest, JSON.parse(await readFile(join(root, checkpoint.manifest_key), 'utf8')), 'manifest');
  expect(manifest.operators).toBe('graph');
  const resumed = await attempt(start('graph', { resume_from: resumeFrom(killed) }));
  expect(resumed.one('resumed')).toMatchObject({ step: checkpoint.step, rejected: [] });
  expect(await adapterFiles(root, resumed.one('done'))).toEqual(await adapterFiles(root, graph.one('done')));
}, 120_000);
