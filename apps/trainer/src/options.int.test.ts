/** Options that decide when a job ends and what it hands out, in the built trainer on a tiny model. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readRows } from '@rowsmith/adapter';
import { AdapterManifest, type JobSpec, type ObjectRef, parseAs, type TrainerStart, trainerExit } from '@rowsmith/contracts';
import { addTinyModel } from '@rowsmith/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256Of } from './object-files.js';
import { adapterFiles, attempt, type Ended, resumeFrom } from './testing/attempt.js';
import { putRows, smallJob } from './testing/small-job.js';

let root = '';
let spec: JobSpec;
let epoch = 0;
const start = (row_sparse: Partial<JobSpec['row_sparse']> = {}, changes: Partial<TrainerStart> = {}): TrainerStart => ({
  type: 'start',
  spec: { ...spec, row_sparse: { ...spec.row_sparse, ...row_sparse } },
  epoch: ++epoch,
  storage: { driver: 'fs', root },
  model_dir: join(root, 'models', 'tiny'),
  resume_from: [],
  ...changes,
});
const validLosses = (ended: Ended) =>
  ended.all('metric').flatMap(({ point }) => (point.valid_loss === null ? [] : [{ step: point.step, loss: point.valid_loss }]));
const manifestOf = async (ended: Ended) =>
  parseAs(AdapterManifest, JSON.parse(await readFile(join(root, ended.one('done').manifest_key), 'utf8')), 'manifest');
async function rowsFile(ended: Ended): Promise<ObjectRef> {
  const file = (await manifestOf(ended)).files.find(({ name }) => name === 'rows.safetensors');
  if (!file) throw new Error('no rows');
  return { key: file.key, sha256: file.sha256, bytes: file.bytes };
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'rowsmith-options-'));
  const { id, base_sha256 } = await addTinyModel(join(root, 'models'));
  const small = await smallJob(root);
  const text = (word: string) => ({ prompt: `say ${word}: `, completion: word.repeat(3) });
  spec = {
    ...small,
    ...{ model: id, base_sha256, hyperparameters: { n_epochs: 1, batch_size: 2, learning_rate_multiplier: 1 } },
    training_data: await putRows(root, 'files/tiny.jsonl', ['ab', 'cd', 'efg', 'h', 'ij', 'klm'].map(text)),
    validation_data: await putRows(root, 'files/tiny-valid.jsonl', ['xyz', 'uv'].map(text)),
    row_sparse: {
      ...small.row_sparse,
      // At this rate validation loss soon rises.
      ...{ rows: 4, layers: [0, 1], learning_rate: 0.3, lr_schedule: 'constant', warmup_ratio: 0, max_grad_norm: 0 },
      ...{ max_steps: 12, eval_every_steps: 1, keep_checkpoints: 1, keep_best: true, sample_prompts: ['say ab: '], sample_max_tokens: 4 },
    },
  };
}, 60_000);
afterAll(() => rm(root, { recursive: true, force: true }));

describe('the best step, early stopping and samples', () => {
  const options = { export: 'best', early_stopping_patience: 3, sample_every_evals: 2, sample_temperature: 1 } as const;
  let whole: Ended;
  let lowest = { step: 0, loss: Number.POSITIVE_INFINITY };
  beforeAll(async () => {
    whole = await attempt(start(options));
    for (const point of validLosses(whole)) if (point.step > 0 && point.loss < lowest.loss) lowest = point;
  }, 60_000);

  it('ends early, says why, and hands out the rows of the lowest validation loss', async () => {
    expect(whole.code).toBe(trainerExit.done);
    const last = validLosses(whole).at(-1)?.step as number;
    expect(last).toBeLessThan(12);
    expect(lowest.step).toBeLessThan(last);
    expect(whole.one('early_stop')).toEqual({
      ...{ type: 'early_stop', step: last, evaluations: 3, best_step: lowest.step, best_valid_loss: lowest.loss },
    });
    expect(whole.one('done')).toMatchObject({ step: last, metrics: { step: lowest.step, full_valid_loss: lowest.loss } });
    expect(await manifestOf(whole)).toMatchObject({ step: lowest.step, verification: { max_abs_error: 0 } });
  });

  it('the handed-out rows are those of a job that ends at that step', async () => {
    const short = await attempt(start({ max_steps: lowest.step, sample_prompts: [] }));
    const rows = async (ended: Ended) => readRows(join(root, (await rowsFile(ended)).key), { baseSha256: spec.base_sha256 });
    expect(await rows(whole)).toEqual(await rows(short));
  });

  it('samples before, at every second evaluation and after; a step has one answer', () => {
    const samples = whole.all('sample').map(({ when, step }) => ({ when, step }));
    const last = validLosses(whole).at(-1)?.step as number;
    const during = Array.from({ length: last }, (_, i) => i + 1).filter((step) => step % 2 === 0);
    expect(samples).toEqual([
      { when: 'before', step: 0 },
      ...during.map((step) => ({ when: 'during', step })),
      { when: 'after', step: lowest.step },
    ]);
    const [same] = whole.all('sample').filter(({ when, step }) => when === 'during' && step === lowest.step);
    if (same) expect(same.completion).toBe(whole.all('sample').at(-1)?.completion);
  });

  it('killed after its best step, it ends with the same bytes', async () => {
    const at = lowest.step + 2;
    const killed = await attempt(start(options), (message, { kill }) => message.type === 'checkpoint' && message.step === at && kill());
    expect(killed.signal).toBe('SIGKILL');
    const resumed = await attempt(start(options, { resume_from: resumeFrom(killed) }));
    expect(resumed.one('resumed').rejected).toEqual([]);
    const final = await adapterFiles(root, resumed.one('done'));
    expect(final).toEqual(await adapterFiles(root, whole.one('done')));
    expect(resumed.one('early_stop')).toEqual(whole.one('early_stop'));
    const samples = (ended: Ended) => ended.all('sample').filter(({ step }) => step > resumed.one('resumed').step);
    expect(samples(resumed)).toEqual(samples(whole));
  });
});

it('a stop in the middle of an answer ends it: what was half said is dropped', async () => {
  const asked = { sample_max_tokens: 200, sample_prompts: ['a', 'b', 'c'] };
  const stopped = await attempt(start(asked), (message, { send }) => {
    if (message.type === 'sample') send({ type: 'stop', reason: 'pause' });
  });
  expect(stopped.code).toBe(trainerExit.stopped);
  expect(stopped.all('sample')).toHaveLength(1);
});

describe('warm start', () => {
  it('begins where the earlier job ended', async () => {
    const first = await attempt(start({ learning_rate: 0.01, sample_prompts: [], max_steps: 3, targets: ['k_proj'] }));
    const warm_start = await rowsFile(first);
    const next = start({ learning_rate: 0.01, sample_prompts: [], max_steps: 1, warm_start_from: 'ftjob-first' });
    const second = await attempt({ ...next, spec: { ...next.spec, warm_start } });
    expect(second.code).toBe(trainerExit.done);
    expect(validLosses(second)[0]?.loss).toBe(validLosses(first).at(-1)?.loss);
    expect(second.one('planned').rows).toBe(first.one('planned').rows);
  });

  it('refuses rows of another base by name, and a damaged object', async () => {
    const other = await smallJob(root);
    const first = await attempt(start({ sample_prompts: [], max_steps: 1 }));
    const ref = await rowsFile(first);
    const bytes = await readFile(join(root, ref.key));
    const begin = start({ warm_start_from: 'ftjob-first' });
    const foreign = Buffer.from(bytes.toString('latin1').replace(spec.base_sha256, other.base_sha256), 'latin1');
    const { FsObjectStore } = await import('@rowsmith/storage');
    await new FsObjectStore(root).put('files/foreign', foreign);
    const refused = (warm_start: ObjectRef) => attempt({ ...begin, epoch: ++epoch, spec: { ...begin.spec, warm_start } });
    const foreignRef = { key: 'files/foreign', sha256: sha256Of(foreign), bytes: foreign.byteLength };
    expect((await refused(foreignRef)).one('failed')).toMatchObject({
      ...{ class: 'user', code: 'warm_start_other_base', param: 'row_sparse.warm_start_from' },
    });
    expect((await refused({ ...ref, sha256: foreignRef.sha256 })).one('failed')).toMatchObject({ class: 'infra', code: 'object_damaged' });
  });
});

it('what does not fit the memory is refused before anything is computed', async () => {
  const refused = await attempt(start(), undefined, { ROWSMITH_MEMORY_MB: '64' });
  expect(refused.code).toBe(trainerExit.user);
  expect(refused.one('failed')).toMatchObject({
    ...{ class: 'precheck', code: 'out_of_memory', param: 'row_sparse.memory', message: expect.stringMatching(/\d+ MiB are available/) },
  });
  expect(refused.all('phase').map(({ phase }) => phase)).toEqual(['loading_model', 'loading_data']);
});
