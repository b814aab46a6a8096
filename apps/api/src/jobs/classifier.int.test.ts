/** Jobs on an encoder: the same requests, with what an encoder has and cannot have. */
import { fileURLToPath } from 'node:url';
import type { JobEstimate, JobObject } from '@rowsmith/contracts';
import { addImported, importFolder } from '@rowsmith/hf';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { formOf, openTestApi, type TestApi } from '../testing/test-api.js';

const folder = fileURLToPath(new URL('../../../../packages/engine/fixtures/encoders/bert-plain/', import.meta.url));
const rows = ['a good film', 'a bad film', 'it was very good', 'it was not real'].map((text, i) => ({
  text,
  label: i % 2 === 0 ? 'praise' : 'blame',
}));
let api: TestApi;
let trainingFile = '';

const upload = async (content: readonly object[]) => {
  const form = formOf([
    { name: 'purpose', content: 'fine-tune' },
    { name: 'file', filename: 'rows.jsonl', content: content.map((row) => `${JSON.stringify(row)}\n`).join('') },
  ]);
  return api.app.inject({ method: 'POST', url: '/files', headers: { ...api.headers(), ...form.headers }, payload: form.body });
};
const post = async <T = JobObject>(url: string, row_sparse: object = {}) => {
  const payload = { model: 'bert', training_file: trainingFile, method: { type: 'supervised' }, row_sparse };
  const answer = await api.app.inject({ method: 'POST', url, headers: api.headers(), payload });
  return { status: answer.statusCode, body: answer.json<T & { error: { param: string; message: string } }>() };
};

beforeAll(async () => {
  api = await openTestApi();
  await addImported(await importFolder(folder), { store: api.modelsDir, id: 'bert', now: () => 0 });
  const file = await upload(rows);
  expect(file.statusCode).toBe(200);
  trainingFile = file.json().id;
}, 60_000);
afterAll(() => api.close());

test('a job on an encoder is made like any other, and shows what "auto" became', async () => {
  const { status, body } = await post('/v1/fine_tuning/jobs', {
    rows: { ratio: 0.25, round_to: 2 },
    attention_rows: 'shared',
    head_groups: true,
  });
  expect([status, body.status, body.model]).toEqual([200, 'queued', 'bert']);
  expect(body.hyperparameters).toEqual({ n_epochs: 15, batch_size: 4, learning_rate_multiplier: 1 });
  expect(body.row_sparse).toMatchObject({
    ...{
      rows: { ratio: 0.25, round_to: 2 },
      scorer: 'taylor',
      learning_rate: 2e-5,
      weight_decay: 0.01,
      packing: false,
      attention_rows: 'shared',
    },
    ...{ targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'up_proj', 'down_proj'], layers: [0, 1], max_seq_length: 32 },
  });
});

test('what it costs is estimated from the bytes of the file', async () => {
  const { status, body } = await post<JobEstimate>('/jobs/estimate', { rows: 4 });
  expect([status, body.training_examples, body.tokens.basis]).toEqual([200, 4, 'bytes']);
});

test.each([
  [{ targets: ['gate_proj'] }, 'row_sparse.targets'],
  [{ sample_prompts: ['hello'] }, 'row_sparse.sample_prompts'],
  [{ packing: true }, 'row_sparse.packing'],
  [{ max_seq_length: 64 }, 'row_sparse.max_seq_length'],
  [{ attention_rows: 'some' }, 'row_sparse.attention_rows'],
  [{ rows: 4, attention_rows: 'shared', channels: 'both' }, 'row_sparse.attention_rows'],
  // 5 % of a tiny model is no row.
  [{}, 'row_sparse.rows'],
])('%j is refused', async (row_sparse, param) => {
  const { status, body } = await post('/jobs', row_sparse);
  expect([status, body.error.param]).toEqual([400, param]);
});

test('a file with a bad label is refused line by line', async () => {
  const answer = await upload([...rows, { text: 'a film', label: 0.5 }]);
  expect(answer.statusCode).toBe(400);
  expect(answer.json().error.message).toContain('Line 5: label: must be text or an integer');
});

test('rows of the other kind are refused before anything is queued, with file, line and field', async () => {
  const chatRows = ['', '{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"ho"}]}', ''].join('\n');
  const form = formOf([
    { name: 'purpose', content: 'fine-tune' },
    { name: 'file', filename: 'chat.jsonl', content: chatRows },
  ]);
  const headers = { ...api.headers(), ...form.headers };
  const chat = (await api.app.inject({ method: 'POST', url: '/files', headers, payload: form.body })).json<{ id: string }>().id;
  const refused = async (payload: object, url = '/jobs') => {
    const answer = await api.app.inject({ method: 'POST', url, headers: api.headers(), payload });
    const { error } = answer.json<{ error: { param: string; code: string; message: string } }>();
    return { status: answer.statusCode, code: error.code, param: error.param, message: error.message };
  };
  const toClassifier = { model: 'bert', row_sparse: { rows: 4 } };
  expect(await refused({ ...toClassifier, training_file: chat })).toEqual({
    ...{ status: 400, code: 'invalid_training_file', param: 'training_file' },
    message: `File ${chat} (chat.jsonl), line 2: a row with the field 'messages' and no 'label'. bert is a classifier: its rows are {"text", "label"}, with "text_pair" for two texts.`,
  });
  expect(await refused({ ...toClassifier, training_files: [{ file: trainingFile }, { file: chat }] })).toMatchObject({
    ...{ status: 400, param: 'training_files[1].file' },
  });
  expect(await refused({ ...toClassifier, training_file: trainingFile, validation_file: chat })).toMatchObject({
    ...{ status: 400, code: 'invalid_validation_file', param: 'validation_file' },
  });
  expect(await refused({ model: api.modelId, training_file: trainingFile }, '/jobs/estimate')).toEqual({
    ...{ status: 400, code: 'invalid_training_file', param: 'training_file' },
    message: `File ${trainingFile} (rows.jsonl), line 1: a row with the field 'label', which trains a classifier. ${api.modelId} writes text: its rows have "messages", "prompt" and "completion", or "text".`,
  });
  expect((await api.app.inject({ method: 'GET', url: '/jobs', headers: api.headers() })).json<{ data: JobObject[] }>().data).toHaveLength(
    1,
  );
});
