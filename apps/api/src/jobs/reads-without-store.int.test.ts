/** A store that takes nothing (a full disk, a bucket that is away) is no reason to refuse plain reads. */
import { rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTestApi, type TestApi } from '../testing/test-api.js';

let api: TestApi;
beforeAll(async () => {
  // No round of the control loop makes the file before the test looks.
  api = await openTestApi({ control: { everyMs: 3_600_000 } });
});
afterAll(() => api.close());

test('jobs can be listed and read while no result file can be made; it is made by the next who asks for the job', async () => {
  const file = await api.uploadExamples();
  const { id } = await api.createJob(file.id);
  await api.succeed(id, 2);
  const files = join(dirname(api.modelsDir), 'objects', 'files');
  await rename(files, `${files}-away`);
  await writeFile(files, 'no folder: nothing can be written here');

  const list = async () => (await api.inject('GET', '/jobs')).json().data as { id: string; result_files: string[] }[];
  const [listed] = await list();
  const job = await api.getJob(id);
  expect(listed).toMatchObject({ id, result_files: [expect.stringMatching(/^file-/)] });
  expect(job).toMatchObject({ status: 'succeeded', result_files: listed?.result_files });
  const [resultFile = ''] = job.result_files;
  expect((await api.inject('GET', `/files/${resultFile}`)).statusCode).toBe(404);

  await rm(files);
  await rename(`${files}-away`, files);
  // A list writes nothing, though it could.
  await list();
  expect((await api.inject('GET', `/files/${resultFile}`)).statusCode).toBe(404);
  expect((await api.getJob(id)).result_files).toEqual([resultFile]);
  const csv = await api.inject('GET', `/files/${resultFile}/content`);
  expect([csv.statusCode, csv.body.split('\n').length]).toEqual([200, 4]);
});
