/** A job on a quantised base in the built trainer on a tiny model. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AdapterManifest, type JobSpec, parseAs, type TrainerStart, trainerExit } from '@rowsmith/contracts';
import { addTinyModel } from '@rowsmith/testkit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { adapterFiles, attempt, type Ended, resumeFrom } from './testing/attempt.js';
import { putRows, smallJob } from './testing/small-job.js';

let root = '';
let spec: JobSpec;
let epoch = 0;
const start = (row_sparse: Partial<JobSpec['row_sparse']>, resume_from: TrainerStart['resume_from'] = []): TrainerStart => ({
  type: 'start',
  spec: { ...spec, row_sparse: { ...spec.row_sparse, ...row_sparse } },
  epoch: ++epoch,
  storage: { driver: 'fs', root },
  model_dir: join(root, 'models', 'tiny'),
  resume_from,
});
const manifestOf = async (ended: Ended) =>
  parseAs(AdapterManifest, JSON.parse(await readFile(join(root, ended.one('done').manifest_key), 'utf8')), 'manifest');

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'rowsmith-quantised-'));
  const { id, base_sha256 } = await addTinyModel(join(root, 'models'));
  const small = await smallJob(root);
  const text = (word: string) => ({ prompt: `say ${word}: `, completion: word.repeat(3) });
  spec = {
    ...small,
    ...{ model: id, base_sha256, validation_data: null, hyperparameters: { n_epochs: 1, batch_size: 2, learning_rate_multiplier: 1 } },
    training_data: await putRows(root, 'files/tiny.jsonl', ['ab', 'cd', 'efg', 'h', 'ij', 'klm'].map(text)),
    row_sparse: {
      ...small.row_sparse,
      ...{ rows: 4, layers: [0, 1], learning_rate: 0.02, max_steps: 8, eval_every_steps: 0, keep_best: false },
      ...{ checkpoint_every_seconds: 0, keep_checkpoints: 8, sample_prompts: ['say ab: '], sample_max_tokens: 4 },
    },
  };
}, 60_000);
afterAll(() => rm(root, { recursive: true, force: true }));

it('trains on NF4, exports relative to the f32 base and says so; killed and resumed, the same bytes; not from an f32 checkpoint', async () => {
  const nf4 = { quantization: 'nf4', double_quantization: true } as const;
  const whole = await attempt(start(nf4));
  expect(whole.code).toBe(trainerExit.done);
  const losses = whole.all('metric').flatMap(({ point }) => point.train_loss ?? []);
  expect(losses.at(-1)).toBeLessThan(losses[0] as number);
  expect(await manifestOf(whole)).toMatchObject({ base_precision: 'nf4_double', verification: { max_abs_error: 0 } });
  const files = await adapterFiles(root, whole.one('done'));
  expect(String(files.get('README.md'))).toContain('The update is relative to the float32 base.');

  const killed = await attempt(start(nf4), (message, { kill }) => message.type === 'checkpoint' && message.step === 5 && kill());
  const resumed = await attempt(start(nf4, resumeFrom(killed)));
  expect(resumed.one('resumed')).toMatchObject({ rejected: [] });
  expect(resumed.one('resumed').step).toBeGreaterThan(0);
  expect(await adapterFiles(root, resumed.one('done'))).toEqual(files);

  const plain = await attempt(start({ quantization: 'none' }, resumeFrom(killed)));
  const { step, rejected } = plain.one('resumed');
  expect(step).toBe(0);
  expect(rejected.length).toBeGreaterThan(0);
  expect(rejected.every(({ reason }) => reason.includes('config_sha256'))).toBe(true);
  expect(await manifestOf(plain)).not.toHaveProperty('base_precision');
  const plainLosses = plain.all('metric').flatMap(({ point }) => point.train_loss ?? []);
  expect(plainLosses[0]).not.toBe(losses[0]);
}, 120_000);

it('products in bf16 learn as f32 does, by other bits; resumed only in the precision that a checkpoint was made in', async () => {
  const bf16 = { precision: 'bf16' } as const;
  const [exact, rounded] = [await attempt(start({})), await attempt(start(bf16))];
  const lossesOf = (ended: Ended) => ended.all('metric').flatMap(({ point }) => point.train_loss ?? []);
  expect(lossesOf(rounded)).not.toEqual(lossesOf(exact));
  for (const [i, loss] of lossesOf(exact).entries()) expect(lossesOf(rounded)[i]).toBeCloseTo(loss, 1);
  // The base is read as it is: nothing to say about its precision.
  expect(await manifestOf(rounded)).not.toHaveProperty('base_precision');

  const killed = await attempt(start(bf16), (message, { kill }) => message.type === 'checkpoint' && message.step === 5 && kill());
  const resumed = await attempt(start(bf16, resumeFrom(killed)));
  expect(await adapterFiles(root, resumed.one('done'))).toEqual(await adapterFiles(root, rounded.one('done')));
  const other = await attempt(start({}, resumeFrom(killed)));
  expect(other.one('resumed')).toMatchObject({ step: 0 });
  expect(other.one('resumed').rejected.length).toBeGreaterThan(0);
}, 60_000);
