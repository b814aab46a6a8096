/** Columns and neurons in the built trainer, on the demo model. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AdapterManifest, type JobSpec, parseAs, type TrainerStart } from '@rowsmith/contracts';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { adapterFiles, attempt, resumeFrom } from './testing/attempt.js';
import { modelDir, smallJob } from './testing/small-job.js';

let root = '';
let spec: JobSpec;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'rowsmith-trainer-channels-'));
  spec = await smallJob(root);
});
afterAll(() => rm(root, { recursive: true, force: true }));
/** Three attempts, each loading the model: seconds alone, minutes beside other tests. */
const patience = 240_000;

const start = (epoch: number, row_sparse: Partial<JobSpec['row_sparse']>, changes: Partial<TrainerStart> = {}): TrainerStart => ({
  type: 'start',
  spec: { ...spec, row_sparse: { ...spec.row_sparse, sample_prompts: [], ...row_sparse } },
  epoch,
  storage: { driver: 'fs', root },
  model_dir: modelDir,
  resume_from: [],
  ...changes,
});
const manifestOf = async (key: string) => parseAs(AdapterManifest, JSON.parse(await readFile(join(root, key), 'utf8')), 'manifest');

it(
  'neurons: planned as counted, exported exactly, the same bytes after kill -9',
  async () => {
    const coupled = { channels: 'coupled', rows: 2, targets: ['v_proj', 'o_proj', 'up_proj', 'down_proj'], update_dropout: 0.1 } as const;
    const job = { ...coupled, targets: [...coupled.targets], max_steps: 2 };
    const whole = await attempt(start(1, job));
    // Each layer: 2 rows of v and up, 2 columns of down, and of o 2 for each of the 3 heads that share a value; 576 numbers each.
    expect(whole.one('planned')).toMatchObject({ rows: 2 * 12, trainable_parameters: 2 * 12 * 576 });
    const done = whole.one('done');
    expect(await manifestOf(done.manifest_key)).toMatchObject({ rank: 6, verification: { max_abs_error: 0, modules: 8 } });
    const killed = await attempt(start(2, job), (message, { kill }) => message.type === 'checkpoint' && message.step === 1 && kill());
    const resumed = await attempt(start(3, job, { resume_from: resumeFrom(killed) }));
    expect(resumed.one('resumed')).toMatchObject({ step: 1, rejected: [] });
    expect(await adapterFiles(root, resumed.one('done'))).toEqual(await adapterFiles(root, done));
  },
  patience,
);

it(
  'biases that the model has not are refused, by the field',
  async () => {
    const failed = await attempt(start(4, { train_biases: true, max_steps: 1 }));
    expect(failed.one('failed')).toMatchObject({ code: 'invalid_options', param: 'row_sparse.train_biases' });
  },
  patience,
);
