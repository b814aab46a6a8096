/** The adapter of a checkpoint, of a job that is still running: real Postgres and file store, a real packed model, rows as a trainer writes them. */
import { createHash } from 'node:crypto';
import { appendFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { encodeRows, exportPeft } from '@rowsmith/adapter';
import {
  type CheckpointManifest,
  canonicalJson,
  configIdentity,
  dataIdentity,
  type JobObject,
  type ManifestFile,
  type ModuleRows,
  type PackedModelIndex,
  type RowDelta,
} from '@rowsmith/contracts';
import { addTinyModel } from '@rowsmith/testkit';
import { extract } from 'tar-stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { begin } from '../testing/finish-job.js';
import { openTestApi, type TestApi } from '../testing/test-api.js';

let api: TestApi;
let model: PackedModelIndex;
let file = '';
beforeAll(async () => {
  api = await openTestApi();
  model = await addTinyModel(api.modelsDir);
  file = (await api.uploadExamples()).id;
});
afterAll(() => api.close());

const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex');
const rows = (outFeatures: number, inFeatures: number, indices: readonly number[], seed: number): ModuleRows => ({
  ...{ indices: Int32Array.from(indices), outFeatures, inFeatures },
  delta: Float32Array.from({ length: indices.length * inFeatures }, (_, i) => Math.sin(seed + i)),
});
const deltaOf = (step: number): RowDelta =>
  new Map([
    ['model.layers.0.self_attn.q_proj', rows(16, 16, [0, 5, 9], step)],
    ['model.layers.1.mlp.down_proj', rows(16, 32, [3], step + 100)],
  ]);

/** A running job with checkpoints of these steps, by step: id and manifest. */
async function running(steps: readonly number[], deltas = deltaOf, rowSparse: object = {}) {
  const payload = { model: model.id, training_file: file, row_sparse: rowSparse };
  const created = (await api.app.inject({ method: 'POST', url: '/jobs', headers: api.headers(), payload })).json<JobObject>();
  const { objects, attempts } = api.worker;
  const { job, epoch } = await begin(api.worker, created.id);
  const saved = new Map<number, { readonly rows: ManifestFile; readonly key: string; id: string }>();
  for (const step of steps) {
    const folder = `jobs/${job.id}/e${epoch}/checkpoint-${step}`;
    const name = 'rows.safetensors';
    const stored: ManifestFile = {
      name,
      key: `${folder}/${name}`,
      ...(await objects.put(`${folder}/${name}`, encodeRows(deltas(step), model.base_sha256))),
    };
    const manifest: CheckpointManifest = {
      ...{
        format: 'rowsmith-checkpoint/1',
        job_id: job.id,
        epoch,
        step,
        base_sha256: model.base_sha256,
        previous_sha256: null,
        cursor: {},
      },
      config_sha256: sha256(canonicalJson(configIdentity(job.spec))),
      data_sha256: sha256(canonicalJson(dataIdentity(job.spec, model.tokenizer_sha256))),
      ...{ metrics: { step, train_loss: 2 / step }, files: [stored] },
    };
    const key = `${folder}/manifest.json`;
    const written = await objects.put(key, Buffer.from(canonicalJson(manifest)));
    await attempts.checkpoint(job.id, epoch, { step, manifestKey: key, manifestSha256: written.sha256, metrics: manifest.metrics });
    saved.set(step, { rows: stored, key, id: '' });
  }
  const listed = (await api.inject('GET', `/jobs/${job.id}/checkpoints?limit=100`)).json<{ data: { id: string; step_number: number }[] }>();
  for (const { id, step_number: step } of listed.data) Object.assign(saved.get(step) ?? {}, { id });
  const at = (step: number) => saved.get(step) as { rows: ManifestFile; key: string; id: string };
  return { id: job.id, epoch, at };
}

const get = (id: string, query: string, headers: object = {}, caller: 'main' | 'other' = 'main') =>
  api.app.inject({ method: 'GET', url: `/v1/fine_tuning/jobs/${id}/adapter?${query}`, headers: { ...api.headers(caller), ...headers } });
async function filesOf(tar: Buffer): Promise<Map<string, Buffer>> {
  const unpack = extract();
  Readable.from([tar]).pipe(unpack);
  const files = new Map<string, Buffer>();
  for await (const entry of unpack) files.set(entry.header.name, await buffer(entry));
  return files;
}
const told = (answer: { statusCode: number; json: () => { error: { code: string; param: string; message: string } } }) => {
  const { code, param, message } = answer.json().error;
  return { status: answer.statusCode, code, param, message };
};

test('rows: the file of the checkpoint, and what it belongs to', async () => {
  const { id, at } = await running([2, 4]);
  const answer = await get(id, `format=rows&checkpoint=${at(2).id}`);
  expect(answer.statusCode).toBe(200);
  expect(answer.headers['content-disposition']).toContain(`${id}-step-2-rows.tar`);
  expect(answer.headers['content-length']).toBe(String(answer.rawPayload.length));
  const files = await filesOf(answer.rawPayload);
  expect([...files.keys()]).toEqual(['rows.safetensors', 'rowsmith.json']);
  expect(sha256(files.get('rows.safetensors') as Buffer)).toBe(at(2).rows.sha256);
  expect(JSON.parse(String(files.get('rowsmith.json')))).toMatchObject({
    ...{ format: 'rowsmith-checkpoint-rows/1', job_id: id, checkpoint_id: at(2).id, step: 2, base_model: 'tiny' },
    ...{ base_sha256: model.base_sha256, metrics: { step: 2, train_loss: 1 } },
  });
  expect((await get(id, `format=rows&checkpoint=${at(2).id}`, { 'if-none-match': String(answer.headers.etag) })).statusCode).toBe(304);
  expect((await get(id, `format=rows&checkpoint=${at(4).id}`)).headers.etag).not.toBe(answer.headers.etag);
});

test('peft: the folder that the trainer would make of these rows, with the tokenizer', async () => {
  const { id, at } = await running([3], deltaOf, { quantization: 'nf4' });
  const answer = await get(id, `checkpoint=${at(3).id}`);
  expect(answer.statusCode).toBe(200);
  expect(answer.headers['content-length']).toBe(String(answer.rawPayload.length));
  const files = await filesOf(answer.rawPayload);
  const made = exportPeft(deltaOf(3), {
    ...{ baseModel: 'tiny', revision: null, baseSha256: model.base_sha256, basePrecision: 'nf4', modelLayers: 2 },
  });
  expect([...files.keys()]).toEqual([...made.files.keys(), 'rowsmith.json', 'tokenizer.json', 'tokenizer_config.json'].sort());
  for (const [name, bytes] of made.files) expect(Buffer.compare(files.get(name) ?? Buffer.alloc(0), bytes)).toBe(0);
  expect(JSON.parse(String(files.get('tokenizer_config.json')))).toMatchObject({ bos_token: '<s>' });
  const again = await get(id, `format=peft&checkpoint=${at(3).id}`, { 'if-none-match': String(answer.headers.etag) });
  expect([again.statusCode, again.headers.etag]).toEqual([304, answer.headers.etag]);
  expect((await get(id, `format=rows&checkpoint=${at(3).id}`)).headers.etag).not.toBe(answer.headers.etag);
});

test('only the checkpoints of the job, and of the project', async () => {
  const [one, other] = [await running([1]), await running([1])];
  const query = (checkpoint: string) => `format=rows&checkpoint=${checkpoint}`;
  const missing = { status: 404, code: 'checkpoint_not_found', param: 'checkpoint' };
  expect(told(await get(one.id, query(other.at(1).id)))).toMatchObject(missing);
  expect(told(await get(one.id, query('ftckpt_000000000000000000000000')))).toMatchObject(missing);
  expect(told(await get(one.id, query(one.at(1).id), {}, 'other'))).toMatchObject({ status: 404, code: 'job_not_found' });
  // Without a checkpoint the job has no adapter yet, and the answer says what there is.
  expect(told(await get(one.id, 'format=rows'))).toMatchObject({
    status: 409,
    code: 'adapter_not_ready',
    message: expect.stringContaining('`checkpoint`'),
  });
});

test('what retention has taken says so; what was set aside as damaged too', async () => {
  const { id, epoch, at } = await running([1, 2]);
  const { attempts } = api.worker;
  const [gone, damaged] = [at(1), at(2)];
  await attempts.checkpointRemoved(id, epoch, gone.key);
  expect(told(await get(id, `checkpoint=${gone.id}`))).toMatchObject({
    status: 404,
    code: 'checkpoint_removed',
    message: expect.stringContaining('keep_checkpoints'),
  });
  await attempts.quarantine(id, epoch, damaged.key, 'its manifest is damaged');
  expect(told(await get(id, `checkpoint=${damaged.id}`))).toMatchObject({
    status: 409,
    code: 'checkpoint_damaged',
    message: expect.stringContaining('its manifest is damaged'),
  });
});

test('damaged bytes never come as a whole download', async () => {
  const { id, at } = await running([1, 2]);
  const { objects } = api.worker;
  const { key, bytes } = at(1).rows;
  await objects.put(key, Buffer.alloc(bytes));
  // Hashed before the first byte is sent.
  expect(told(await get(id, `checkpoint=${at(1).id}`))).toMatchObject({ status: 409, code: 'checkpoint_damaged', param: 'checkpoint' });
  // Hashed as it goes: cut off in the middle of the announced length.
  const outcome = await get(id, `format=rows&checkpoint=${at(1).id}`).then(
    (reply) => reply.statusCode,
    () => 'cut off',
  );
  expect([500, 'cut off']).toContain(outcome);
  await objects.put(at(2).key, Buffer.from('{}'));
  for (const format of ['rows', 'peft'])
    expect(told(await get(id, `format=${format}&checkpoint=${at(2).id}`))).toMatchObject({ status: 409, code: 'checkpoint_damaged' });
  await objects.delete(at(2).key);
  expect(told(await get(id, `checkpoint=${at(2).id}`))).toMatchObject({ status: 409, code: 'checkpoint_damaged' });
});

test('trained biases have no PEFT form before the end, and the refusal names the one that is there', async () => {
  const biased = (step: number): RowDelta =>
    new Map(Array.from(deltaOf(step), ([name, module]) => [name, { ...module, biasDelta: new Float32Array(module.indices.length) }]));
  const { id, at } = await running([1], biased);
  expect(told(await get(id, `checkpoint=${at(1).id}`))).toMatchObject({
    status: 400,
    code: 'format_not_possible',
    param: 'format',
    message: expect.stringContaining('format=rows'),
  });
  expect((await get(id, `format=rows&checkpoint=${at(1).id}`)).statusCode).toBe(200);
});

test('a base that is not the one of the job any more', async () => {
  const { id, at } = await running([1]);
  const before = model;
  model = await addTinyModel(api.modelsDir, 'other', 2);
  const moved = await running([1]);
  model = before;
  // The tokenizer on disk is not what the index pins.
  await appendFile(join(api.modelsDir, 'other', 'tokenizer.json'), ' ');
  expect(told(await get(moved.id, `checkpoint=${moved.at(1).id}`))).toMatchObject({ status: 503 });
  expect((await get(moved.id, `format=rows&checkpoint=${moved.at(1).id}`)).statusCode).toBe(200);
  await rm(join(api.modelsDir, 'other'), { recursive: true });
  expect(told(await get(moved.id, `checkpoint=${moved.at(1).id}`))).toMatchObject({
    status: 400,
    code: 'base_model_changed',
    param: 'format',
  });
  expect((await get(moved.id, `format=rows&checkpoint=${moved.at(1).id}`)).statusCode).toBe(200);
  expect((await get(id, `checkpoint=${at(1).id}`)).statusCode).toBe(200);
});

test.each([
  ['merged', 'merge_and_unload'],
  ['gguf', 'convert_lora_to_gguf.py'],
])('format=%s says how it is made', async (format, command) => {
  const { id } = await running([1]);
  expect(told(await get(id, `format=${format}`))).toMatchObject({
    ...{ status: 400, code: 'format_not_served', param: 'format' },
    message: expect.stringContaining(command),
  });
  expect(told(await get(id, 'format=onnx'))).toMatchObject({ status: 400, code: 'invalid_value', param: 'format' });
});
