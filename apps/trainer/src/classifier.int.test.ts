/** Jobs on an encoder in the built trainer: a tiny random BERT learns which of two words a text holds. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AdapterManifest, type JobSpec, parseAs, type TrainerStart, trainerExit } from '@rowsmith/contracts';
import { addImported, importFolder } from '@rowsmith/hf';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { adapterFiles, attempt, type Ended, resumeFrom } from './testing/attempt.js';
import { putRows, smallJob } from './testing/small-job.js';

const fixtures = fileURLToPath(new URL('../../../packages/engine/fixtures/encoders/', import.meta.url));
const words = ['film', 'a', 'the', 'is', 'very', 'real', 'it', 'was', '.'];
/** Texts of 3 to 6 words, every third with a second text; where the word stands is a function of `i`. */
const rows = (count: number, from: number) =>
  Array.from({ length: count }, (_, i) => {
    const at = i + from;
    const text = Array.from({ length: 3 + (at % 4) }, (__, k) => words[(at * 7 + k * 5) % words.length] as string);
    text[(at * 3) % text.length] = at % 2 === 0 ? 'good' : 'bad';
    return { text: text.join(' '), ...(at % 3 === 0 && { text_pair: words[at % words.length] }), label: at % 2 === 0 ? 'praise' : 'blame' };
  });

let root = '';
let spec: JobSpec;
let epoch = 0;
const start = (change: Partial<JobSpec> = {}, resume_from: TrainerStart['resume_from'] = []): TrainerStart => {
  const job = { ...spec, ...change };
  const model_dir = join(root, 'models', job.model);
  return { type: 'start', spec: job, epoch: ++epoch, storage: { driver: 'fs', root }, model_dir, resume_from };
};
const manifestOf = async (ended: Ended) =>
  parseAs(AdapterManifest, JSON.parse(await readFile(join(root, ended.one('done').manifest_key), 'utf8')), 'manifest');
const messages = (ended: Ended) => ended.all('phase').map(({ message }) => message);
const validation = (ended: Ended) => ended.all('metric').flatMap(({ point }) => (point.valid_loss === null ? [] : [point]));
const bases = new Map<string, string>();

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'rowsmith-classifier-'));
  for (const id of ['bert-plain', 'bert-classifier']) {
    const { index } = await addImported(await importFolder(join(fixtures, id)), { store: join(root, 'models'), id, now: () => 0 });
    bases.set(id, index.base_sha256);
  }
  const small = await smallJob(root);
  spec = {
    ...small,
    ...{ model: 'bert-plain', base_sha256: bases.get('bert-plain') as string },
    hyperparameters: { n_epochs: 1, batch_size: 8, learning_rate_multiplier: 1 },
    training_data: await putRows(root, 'files/train.jsonl', rows(64, 0)),
    validation_data: await putRows(root, 'files/valid.jsonl', rows(31, 1000)),
    row_sparse: {
      ...small.row_sparse,
      ...{
        rows: { ratio: 0.25, round_to: 2 },
        scorer: 'taylor',
        layers: [0, 1],
        targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'up_proj', 'down_proj'],
      },
      ...{ attention_rows: 'shared', head_groups: true, train_biases: true, packing: false, weight_decay: 0.01, max_seq_length: 16 },
      ...{ learning_rate: 0.01, max_steps: 40, eval_every_steps: 20, keep_best: true, sample_prompts: [], keep_checkpoints: 50 },
    },
  };
}, 60_000);
afterAll(() => rm(root, { recursive: true, force: true }));

it('learns, says which classes, stores heads whole; killed and resumed, the same bytes; an adapter is a warm start', async () => {
  const whole = await attempt(start());
  expect(whole.code, whole.log).toBe(trainerExit.done);
  expect(messages(whole)).toContain('A new classifier begins: 2 classes');
  const points = validation(whole);
  expect(points.map(({ step }) => step)).toEqual([0, 20, 40]);
  expect(points[0]?.valid_mean_token_accuracy).toBeLessThan(0.7);
  expect(points[2]?.valid_mean_token_accuracy).toBeGreaterThan(0.9);
  const manifest = await manifestOf(whole);
  expect(manifest).toMatchObject({ classes: ['blame', 'praise'], verification: { max_abs_error: 0 }, evaluation: { examples: 31 } });
  expect(manifest.evaluation?.accuracy).toBe(points[2]?.valid_mean_token_accuracy);
  expect(manifest.evaluation?.matthews).toBeGreaterThan(0.8);
  const files = await adapterFiles(root, whole.one('done'));
  expect(JSON.parse(String(files.get('adapter_config.json')))).toMatchObject({
    ...{ task_type: 'SEQ_CLS', modules_to_save: ['classifier', 'pooler'], bias: 'lora_only' },
  });
  // 25 % of 24 and 36 rows of six matrices in two layers (q, k and v in four groups: 8 rows); whole heads of 24 and 2 rows; biases likewise.
  const [attention, o, up, down] = [3 * 8, 6, 8, 6];
  const layer = attention * 25 + o * 25 + up * 25 + down * 37;
  expect(manifest.trainable_parameters).toBe(2 * layer + 24 * 25 + 2 * 25);

  const killed = await attempt(start(), (message, { kill }) => message.type === 'checkpoint' && message.step === 21 && kill());
  const resumed = await attempt(start({}, resumeFrom(killed)));
  expect(resumed.one('resumed')).toMatchObject({ rejected: [] });
  expect(resumed.one('resumed').step).toBeGreaterThan(0);
  expect(await adapterFiles(root, resumed.one('done'))).toEqual(files);

  const stored = manifest.files.find(({ name }) => name === 'rows.safetensors');
  if (!stored) throw new Error('no rows');
  const { key, sha256, bytes } = stored;
  const warm = await attempt(start({ seed: 8, warm_start: { key, sha256, bytes }, row_sparse: { ...spec.row_sparse, max_steps: 1 } }));
  expect(validation(warm)[0]?.valid_loss).toBe(points[2]?.valid_loss);
}, 120_000);

it("the base's own classifier goes on where the labels are its classes; other bad data is refused by name", async () => {
  const own = { model: 'bert-classifier', base_sha256: bases.get('bert-classifier') as string };
  const named = (label: (i: number) => unknown) => rows(8, 0).map((row, i) => ({ ...row, label: label(i) }));
  const job = async (label: (i: number) => unknown, change: Partial<JobSpec> = {}) =>
    attempt(
      start({
        ...{ ...own, validation_data: null, training_data: await putRows(root, `files/${epoch}.jsonl`, named(label)), ...change },
        row_sparse: { ...spec.row_sparse, ...{ keep_best: false, max_steps: 1, learning_rate: 1e-6, scorer: 'l2' } },
      }),
    );
  const kept = await job((i) => ['no', 'yes'][i % 2]);
  expect(messages(kept)).toContain("The base model's classifier goes on: 3 classes");
  expect((await manifestOf(kept)).classes).toEqual(['no', 'maybe', 'yes']);
  expect(messages(await job((i) => i % 3))).toContain("The base model's classifier goes on: 3 classes");
  const other = await job((i) => i % 4);
  expect(messages(other)).toContain('A new classifier begins: 4 classes');
  expect(await manifestOf(other)).toMatchObject({ classes: ['0', '1', '2', '3'] });
  expect(JSON.parse(String((await adapterFiles(root, other.one('done'))).get('adapter_config.json')))).toMatchObject({
    modules_to_save: ['classifier', 'pooler'],
  });

  expect((await job(() => 'all alike')).one('failed')).toMatchObject({ class: 'user', code: 'one_class', param: 'training_file' });
  const chat = await putRows(root, 'files/chat.jsonl', [{ text: 'no label' }]);
  const refused = await job(() => 1, { training_data: chat });
  expect(refused.one('failed')).toMatchObject({ class: 'user', param: 'training_file' });
  const valid = await putRows(root, 'files/unknown.jsonl', [{ text: 'a', label: 'neither' }]);
  const unknown = await job((i) => i % 2, { ...own, validation_data: valid });
  expect(unknown.one('failed')).toMatchObject({
    class: 'user',
    code: 'invalid_validation_file',
    message: expect.stringContaining('"neither"'),
  });
}, 120_000);
