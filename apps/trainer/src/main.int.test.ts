/** The built trainer (`npx tsc -b apps/trainer`) as a process, on the demo model, killed and stopped as life does. */
import { mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  AdapterManifest,
  CheckpointManifest,
  canonicalJson,
  configIdentity,
  dataIdentity,
  type JobSpec,
  parseAs,
  type TrainerStart,
  trainerExit,
} from '@rowsmith/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256Of } from './object-files.js';
import { adapterFiles, attempt, type Ended, resumeFrom } from './testing/attempt.js';
import { modelDir, putRows, smallJob } from './testing/small-job.js';

let root = '';
let spec: JobSpec;
/** Epoch 1: undisturbed. */
let whole: Ended;
let wholeFiles: ReadonlyMap<string, Buffer>;

const start = (epoch: number, changes: Partial<TrainerStart> = {}): TrainerStart => ({
  type: 'start',
  spec,
  epoch,
  storage: { driver: 'fs', root },
  model_dir: modelDir,
  resume_from: [],
  ...changes,
});
const changed = (row_sparse: Partial<JobSpec['row_sparse']>): JobSpec => ({ ...spec, row_sparse: { ...spec.row_sparse, ...row_sparse } });
const steps = (ended: Ended) => ended.all('metric').flatMap(({ point }) => (point.train_loss === null ? [] : [point.step]));

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'rowsmith-trainer-test-'));
  spec = await smallJob(root);
  whole = await attempt(start(1));
  wholeFiles = await adapterFiles(root, whole.one('done'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

describe('an undisturbed attempt', () => {
  it('reports plan, steps, samples, checkpoints and its end', () => {
    expect(whole.code).toBe(trainerExit.done);
    // q_proj has 576 columns, down_proj 1536; 4 rows of each in 2 layers.
    expect(whole.one('planned')).toMatchObject({ total_steps: 4, rows: 16, trainable_parameters: 4 * 2 * (576 + 1536), train_examples: 4 });
    expect(steps(whole)).toEqual([1, 2, 3, 4]);
    expect(whole.all('checkpoint').map(({ step }) => step)).toEqual([1, 2, 3, 4]);
    expect(whole.all('sample').map(({ when, prompt }) => [when, prompt])).toEqual([
      ['before', 'A chair in oak.'],
      ['after', 'A chair in oak.'],
    ]);
    expect(whole.all('resumed')).toEqual([]);
    expect(whole.messages.at(-1)).toBe(whole.one('done'));
    const losses = whole.all('metric').flatMap(({ point }) => (point.valid_loss === null ? [] : [point.valid_loss]));
    expect(losses).toHaveLength(2);
    expect(losses[1]).toBeLessThan(losses[0] as number);
  });

  it('says in its log which operators computed', () => {
    const engine = whole.log
      .split('\n')
      .flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []))
      .find(({ op }) => op === 'engine');
    expect(engine).toMatchObject({
      tensorflow: expect.stringMatching(/^\d+\.\d+\.\d+$/),
      operators: { kind: expect.stringMatching(/^(fused|stock)$/) },
    });
  });

  it('publishes an adapter that was read back without any difference', async () => {
    const { manifest_key, manifest_sha256 } = whole.one('done');
    const bytes = await readFile(join(root, manifest_key));
    expect(sha256Of(bytes)).toBe(manifest_sha256);
    const manifest = parseAs(AdapterManifest, JSON.parse(bytes.toString('utf8')), 'manifest');
    expect(manifest).toMatchObject({ rank: 4, step: 4, base_sha256: spec.base_sha256, verification: { max_abs_error: 0, modules: 4 } });
    expect(manifest.files.map(({ name }) => name)).toEqual([...wholeFiles.keys()]);
    for (const { name, sha256 } of manifest.files) expect(sha256Of(wholeFiles.get(name) as Buffer)).toBe(sha256);
    expect([...wholeFiles.keys()]).toEqual(
      expect.arrayContaining([
        'README.md',
        'adapter_config.json',
        'adapter_model.safetensors',
        'rows.safetensors',
        'tokenizer.json',
        'tokenizer_config.json',
      ]),
    );
  });
});

describe('the chain', () => {
  const manifestOf = async (key: string) => parseAs(CheckpointManifest, JSON.parse(await readFile(join(root, key), 'utf8')), 'manifest');
  const adapterOf = async ({ manifest_key }: { manifest_key: string }) =>
    parseAs(AdapterManifest, JSON.parse(await readFile(join(root, manifest_key), 'utf8')), 'manifest');
  const rowsIn = ({ files }: { files: readonly { name: string; sha256: string }[] }) =>
    files.find(({ name }) => name === 'rows.safetensors')?.sha256;

  it("each checkpoint names its predecessor's manifest, the adapter the last one's; its rows are that checkpoint's, byte for byte", async () => {
    const saved = whole.all('checkpoint');
    const manifests = await Promise.all(saved.map(({ manifest_key }) => manifestOf(manifest_key)));
    expect(manifests.map(({ previous_sha256 }) => previous_sha256)).toEqual([null, ...saved.slice(0, -1).map((of) => of.manifest_sha256)]);
    const adapter = await adapterOf(whole.one('done'));
    expect(adapter.checkpoint_sha256).toBe(saved.at(-1)?.manifest_sha256);
    expect(rowsIn(adapter)).toBe(rowsIn(manifests[3] as CheckpointManifest));
    for (const { config_sha256, base_sha256, data_sha256, job_id } of manifests)
      expect(adapter).toMatchObject({ config_sha256, base_sha256, data_sha256, job_id });
    expect(adapter.config_sha256).toBe(sha256Of(canonicalJson(configIdentity(spec))));
    const { tokenizer_sha256 } = JSON.parse(await readFile(join(modelDir, 'index.json'), 'utf8')) as { tokenizer_sha256: string };
    expect(adapter.data_sha256).toBe(sha256Of(canonicalJson(dataIdentity(spec, tokenizer_sha256))));
  });

  it('goes on over attempts, and ends at the same rows', async () => {
    const resumed = await attempt(start(11, { resume_from: resumeFrom(whole).slice(2) }));
    const [first] = resumed.all('checkpoint');
    const from = whole.all('checkpoint')[1];
    expect((await manifestOf(first?.manifest_key ?? '')).previous_sha256).toBe(from?.manifest_sha256);
    const adapter = await adapterOf(resumed.one('done'));
    expect(adapter.checkpoint_sha256).toBe(resumed.all('checkpoint').at(-1)?.manifest_sha256);
    expect(rowsIn(adapter)).toBe(rowsIn(await adapterOf(whole.one('done'))));
    const onlyExport = await attempt(start(12, { resume_from: resumeFrom(whole) }));
    expect((await adapterOf(onlyExport.one('done'))).checkpoint_sha256).toBe(whole.all('checkpoint').at(-1)?.manifest_sha256);
  });
});

describe('an attempt that goes on', () => {
  it('after kill -9 ends with the same bytes', async () => {
    const killed = await attempt(start(2), (message, { kill }) => message.type === 'checkpoint' && message.step === 1 && kill());
    expect(killed.signal).toBe('SIGKILL');
    const resumed = await attempt(start(3, { resume_from: resumeFrom(killed) }));
    expect(resumed.one('resumed').rejected).toEqual([]);
    expect(steps(resumed)[0]).toBe(resumed.one('resumed').step + 1);
    expect(resumed.all('sample').map(({ when }) => when)).toEqual(['after']);
    expect(await adapterFiles(root, resumed.one('done'))).toEqual(wholeFiles);
  });

  it('after being handed back ends with the same bytes', async () => {
    const rare = changed({ checkpoint_every_seconds: 86400, sample_prompts: [] });
    const handed = await attempt(start(4, { spec: rare }), (message, { send }) => {
      if (message.type === 'metric' && message.point.step === 1) send({ type: 'stop', reason: 'handback' });
    });
    expect(handed.code).toBe(trainerExit.stopped);
    const { step } = handed.one('stopped');
    expect(step).toBeLessThan(4);
    expect(handed.all('checkpoint').map((checkpoint) => checkpoint.step)).toEqual([step]);
    const resumed = await attempt(start(5, { spec: rare, resume_from: resumeFrom(handed) }));
    expect(resumed.one('resumed')).toMatchObject({ step, rejected: [] });
    const files = await adapterFiles(root, resumed.one('done'));
    for (const name of ['adapter_model.safetensors', 'adapter_config.json', 'README.md', 'rows.safetensors'])
      expect(files.get(name)?.equals(wholeFiles.get(name) as Buffer), name).toBe(true);
  });

  it('with a checkpoint that was asked for ends with the same bytes; asked twice it makes one', async () => {
    const rare = changed({ checkpoint_every_seconds: 86400, sample_prompts: [] });
    const asked = await attempt(start(12, { spec: rare }), (message, { send }) => {
      if (message.type !== 'metric' || message.point.step !== 1) return;
      for (const _ of [1, 2]) send({ type: 'checkpoint_wanted', step: 1 });
    });
    const saved = asked.all('checkpoint').map(({ step }) => step);
    expect(saved).toEqual([expect.any(Number), 4]);
    expect(saved[0]).toBeLessThan(4);
    const files = await adapterFiles(root, asked.one('done'));
    for (const name of ['adapter_model.safetensors', 'adapter_config.json', 'README.md', 'rows.safetensors'])
      expect(files.get(name)?.equals(wholeFiles.get(name) as Buffer), name).toBe(true);
  });

  it('after its last step has only the adapter to make', async () => {
    const resumed = await attempt(start(6, { resume_from: resumeFrom(whole) }));
    expect(resumed.one('resumed')).toEqual({ type: 'resumed', step: 4, rejected: [] });
    expect(steps(resumed)).toEqual([]);
    expect(resumed.all('checkpoint')).toEqual([]);
    expect(await adapterFiles(root, resumed.one('done'))).toEqual(wholeFiles);
  });

  it('passes by damaged checkpoints and says why', async () => {
    const [newest, second] = resumeFrom(whole).map(({ manifest_key }) => manifest_key) as [string, string, string];
    const optimizer = join(root, newest, '..', 'optimizer.safetensors');
    const bytes = await readFile(optimizer);
    bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1;
    await writeFile(optimizer, bytes);
    await truncate(join(root, second), (await stat(join(root, second))).size - 1);
    const resumed = await attempt(start(7, { resume_from: resumeFrom(whole) }));
    expect(resumed.one('resumed')).toMatchObject({
      step: 2,
      rejected: [
        { manifest_key: newest, reason: expect.stringMatching(/optimizer\.safetensors is damaged/) },
        { manifest_key: second, reason: expect.stringMatching(/manifest is damaged/) },
      ],
    });
    expect(steps(resumed)).toEqual([3, 4]);
    expect(await adapterFiles(root, resumed.one('done'))).toEqual(wholeFiles);
  });
});

describe('an attempt that cannot succeed', () => {
  it('blames data in which nothing is left to learn', async () => {
    const turns = (content: string) => ({
      messages: [
        { role: 'user', content },
        { role: 'assistant', content: 'yes' },
      ],
    });
    const training_data = await putRows(root, 'files/long.jsonl', [turns('word '.repeat(40))]);
    const ended = await attempt(start(8, { spec: { ...changed({ max_seq_length: 16 }), training_data } }));
    expect(ended.code).toBe(trainerExit.user);
    expect(ended.one('failed')).toMatchObject({
      class: 'user',
      code: 'no_labelled_tokens',
      param: 'training_file',
      message: expect.stringMatching(/Line 1.*max_seq_length/),
    });
  });

  it('refuses another base model than the job was created for', async () => {
    const ended = await attempt(start(9, { spec: { ...spec, base_sha256: 'a'.repeat(64) } }));
    expect(ended.code).toBe(trainerExit.user);
    expect(ended.one('failed')).toMatchObject({ class: 'precheck', code: 'base_model_changed' });
  });

  it('refuses a message it does not know', async () => {
    const ended = await attempt({ type: 'begin' });
    expect(ended.code).toBe(trainerExit.infra);
    expect(ended.one('failed')).toMatchObject({ class: 'infra', code: 'invalid_message' });
  });

  it('ends when its worker is gone', async () => {
    const ended = await attempt(
      start(10),
      (message, { disconnect }) => message.type === 'phase' && message.phase === 'loading_model' && disconnect(),
    );
    expect(ended.code).toBe(trainerExit.infra);
    expect(ended.all('failed')).toEqual([]);
  });
});
