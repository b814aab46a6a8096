/** Scores of a job over the API, and jobs that take an earlier job's rows. */
import { createHash } from 'node:crypto';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { canonicalJson, type JobObject, type ScoresManifest, type Selection, scoresKeyOf, selectionKeyOf } from '@rowsmith/contracts';
import { encodeSafetensors } from '@rowsmith/hf';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestApi, type TestApi } from '../testing/test-api.js';

let api: TestApi;
let trainingFile = '';
/** Has scored: as the trainer leaves it. */
let scored: JobObject;
let manifest: ScoresManifest;
const name = 'model.layers.0.self_attn.q_proj';
const data = Buffer.from(
  encodeSafetensors(
    new Map([
      [`${name}.rows`, { shape: [4], data: Float32Array.of(1, 9, 3, 9) }],
      [`${name}.columns`, { shape: [2], data: Float32Array.of(12, 10) }],
    ]),
  ),
);
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const encode = (value: unknown) => Buffer.from(canonicalJson(value));
const post = (row_sparse: object, change: object = {}) =>
  api.app.inject({
    method: 'POST',
    url: '/jobs',
    headers: api.headers(),
    payload: { model: api.modelId, training_file: trainingFile, row_sparse, ...change },
  });
const create = async (row_sparse: object): Promise<JobObject> => {
  const answer = await post(row_sparse);
  expect(answer.statusCode, answer.payload).toBe(200);
  return answer.json<JobObject>();
};

beforeAll(async () => {
  api = await openTestApi();
  trainingFile = (await api.uploadExamples()).id;
  scored = await create({ scorer: 'taylor', rows: 2, targets: ['q_proj', 'v_proj'], layers: [0, 0] });
  const key = 'scores/0123/scores.safetensors';
  manifest = {
    ...{ format: 'rowsmith-scores/1', scorer: 'taylor', seed: 7, base_sha256: 'b'.repeat(64), data_sha256: 'd'.repeat(64) },
    ...{ operators: 'fused', options: { batch_size: 4 }, batches: 2 },
    modules: [{ name, rows: { channels: 4, mean: 5.5, max: 9, argmax: 1 }, columns: { channels: 2, mean: 11, max: 12, argmax: 0 } }],
    file: { name: 'scores.safetensors', key, sha256: sha256(data), bytes: data.length },
  };
  const bytes = encode(manifest);
  await api.putObject(key, data);
  await api.putObject('scores/0123/manifest.json', bytes);
  const ref = { key: 'scores/0123/manifest.json', sha256: sha256(bytes), bytes: bytes.length };
  await api.putObject(scoresKeyOf(scored.id), encode({ format: 'rowsmith-scores-of/1', manifest: ref }));
  const selection: Selection = {
    format: 'rowsmith-selection/1',
    base_sha256: 'b'.repeat(64),
    modules: [{ name, rows: [1, 3], columns: [] }],
  };
  await api.putObject(selectionKeyOf(scored.id), encode(selection));
});
afterAll(() => api.close());

describe('GET scores', () => {
  it.each(['/jobs', '/v1/fine_tuning/jobs'])('under %s: the file, whole, in part, or unchanged', async (path) => {
    const url = `${path}/${scored.id}/scores`;
    const whole = await api.inject('GET', url);
    expect(whole.statusCode).toBe(200);
    expect(whole.rawPayload.equals(data)).toBe(true);
    expect(whole.headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-disposition': expect.stringContaining(`${scored.id}-scores.safetensors`),
      etag: `"${sha256(data)}"`,
    });
    const part = await api.app.inject({ method: 'GET', url, headers: { ...api.headers(), range: 'bytes=8-15' } });
    expect([part.statusCode, part.rawPayload.equals(data.subarray(8, 16))]).toEqual([206, true]);
    const again = await api.app.inject({ method: 'GET', url, headers: { ...api.headers(), 'if-none-match': `"${sha256(data)}"` } });
    expect(again.statusCode).toBe(304);
  });

  it('as JSON: what they depend on, and a summary of each linear', async () => {
    const answer = await api.inject('GET', `/jobs/${scored.id}/scores?format=json`);
    expect(answer.headers['content-type']).toMatch(/^application\/json/);
    const { file, ...rest } = manifest;
    expect(answer.json()).toEqual({ ...rest, sha256: file.sha256, bytes: file.bytes });
    expect((await api.inject('GET', `/jobs/${scored.id}/scores?format=csv`)).statusCode).toBe(400);
  });

  it('404 for a job that has none, 503 while they are damaged', async () => {
    const job = await create({});
    expect((await api.inject('GET', `/jobs/${job.id}/scores`)).json().error).toMatchObject({ code: 'scores_not_found' });
    const ref = { key: 'scores/0123/manifest.json', sha256: '0'.repeat(64), bytes: 1 };
    await api.putObject(scoresKeyOf(job.id), encode({ format: 'rowsmith-scores-of/1', manifest: ref }));
    expect((await api.inject('GET', `/jobs/${job.id}/scores`)).statusCode).toBe(503);
  });
});

describe('reuse_rows_of', () => {
  it('takes settings and selection of the earlier job', async () => {
    const job = await create({ reuse_rows_of: scored.id, learning_rate: 0.002 });
    expect(job.row_sparse).toMatchObject({
      ...{ reuse_rows_of: scored.id, scorer: 'taylor', rows: 2, targets: ['q_proj', 'v_proj'], layers: [0, 0], learning_rate: 0.002 },
    });
  });

  it.each([
    ['a job that is not there', { reuse_rows_of: 'ftjob-000000000000000000000000' }, 404, 'job_not_found', 'row_sparse.reuse_rows_of'],
    ['other targets', { targets: ['q_proj'] }, 400, 'invalid_value', 'row_sparse.targets'],
    ['another number of rows', { rows: 3 }, 400, 'invalid_value', 'row_sparse.rows'],
  ])('refuses %s', async (_, change, status, code, param) => {
    const answer = await post({ reuse_rows_of: scored.id, ...change });
    expect([answer.statusCode, answer.json().error]).toEqual([status, expect.objectContaining({ code, param })]);
  });

  it('refuses a job that has not chosen its rows yet, and one of another project', async () => {
    const queued = await create({});
    expect((await post({ reuse_rows_of: queued.id })).json().error).toMatchObject({
      code: 'rows_not_chosen',
      param: 'row_sparse.reuse_rows_of',
    });
    const form = await api.app.inject({ method: 'GET', url: `/jobs/${scored.id}/scores`, headers: api.headers('other') });
    expect(form.statusCode).toBe(404);
  });

  it('refuses another base', async () => {
    const other = join(api.modelsDir, 'tiny-other');
    await cp(join(api.modelsDir, api.modelId), other, { recursive: true });
    const index = JSON.parse(await readFile(join(other, 'index.json'), 'utf8'));
    await writeFile(join(other, 'index.json'), JSON.stringify({ ...index, id: 'tiny-other', base_sha256: 'c'.repeat(64) }));
    const answer = await post({ reuse_rows_of: scored.id }, { model: 'tiny-other' });
    expect([answer.statusCode, answer.json().error]).toEqual([
      400,
      expect.objectContaining({ code: 'invalid_value', param: 'row_sparse.reuse_rows_of', message: expect.stringMatching(/another base/) }),
    ]);
  });
});
