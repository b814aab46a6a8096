/** Each request that writes into the store, on a disk that is full at every page of it: 503 to be tried again, nothing of it seen, and then it works. */
import { fillAtEveryPage, mountSmallDisk } from '@rowsmith/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { examplesJsonl, formOf, openTestApi, type TestApi } from '../testing/test-api.js';

const disk = mountSmallDisk(8 << 20);
let api: TestApi;
beforeAll(async () => {
  // No round of the control loop writes in between.
  if (disk !== null) api = await openTestApi({ control: { everyMs: 3_600_000 }, env: { ROWSMITH_DATA: disk.folder } });
});
afterAll(async () => {
  await api?.close();
  disk?.unmount();
});

/** Some five pages. */
const content = examplesJsonl(250);

interface Refused {
  readonly status: number;
  readonly retryAfter: unknown;
  readonly code: string;
}
/** The body; throws `Refused`. */
async function post<T>(url: string, body: object | ReturnType<typeof formOf>): Promise<T> {
  const form = 'body' in body;
  const answer = await api.app.inject({
    ...{ method: 'POST', url, headers: { ...api.headers(), ...(form ? body.headers : {}) } },
    payload: form ? body.body : body,
  });
  if (answer.statusCode === 200) return answer.json();
  const refused: Refused = { status: answer.statusCode, retryAfter: answer.headers['retry-after'], code: answer.json().error.code };
  throw refused;
}
const objects = async () => (await api.storedPaths()).filter((name) => !name.startsWith('readiness')).sort();

describe.runIf(disk !== null)('on a full disk', () => {
  if (disk === null) return;
  const refusals = async (write: () => Promise<unknown>, left: () => Promise<unknown>) => {
    const before = await left();
    const failures = await fillAtEveryPage(disk, { write, left });
    expect(failures.length).toBeGreaterThan(3);
    for (const failure of failures)
      expect(failure).toEqual({ error: { status: 503, retryAfter: '10', code: expect.any(String) as string }, left: before });
  };

  test('a file', async () => {
    const form = formOf([
      { name: 'purpose', content: 'fine-tune' },
      { name: 'file', filename: 'rows.jsonl', content },
    ]);
    const files = async () => [await objects(), (await api.inject('GET', '/files')).json().data.length];
    await refusals(() => post('/files', form), files);
    expect(await files()).toEqual([[expect.stringMatching(/^file-/)], 1]);
  });

  test('a part of an upload, then the file of its parts', async () => {
    const upload = await post<{ id: string }>('/v1/uploads', {
      ...{ purpose: 'fine-tune', filename: 'rows.jsonl', bytes: content.length, mime_type: 'text/jsonl' },
    });
    const form = formOf([{ name: 'data', filename: 'blob', content }]);
    let part = '';
    await refusals(async () => {
      part = (await post<{ id: string }>(`/v1/uploads/${upload.id}/parts`, form)).id;
    }, objects);
    let file = '';
    await refusals(async () => {
      file = (await post<{ file: { id: string } }>(`/v1/uploads/${upload.id}/complete`, { part_ids: [part] })).file.id;
    }, objects);
    expect((await api.inject('GET', `/files/${file}/content`)).payload).toBe(content);
  });

  test('jobs are created and read, a result file is made when there is space, and readiness says that there is none', async () => {
    const { id: trainingFile } = await api.uploadExamples();
    const { id } = await api.createJob(trainingFile);
    await api.succeed(id, 2);
    disk.leave(0);
    const other = await api.createJob(trainingFile);
    expect((await api.getJob(other.id)).status).toBe('queued');
    const [resultFile = ''] = (await api.getJob(id)).result_files;
    expect((await api.inject('GET', `/files/${resultFile}/content`)).statusCode).toBe(404);
    expect((await api.inject('GET', '/readyz')).statusCode).toBe(503);
    disk.free();
    expect((await api.inject('GET', '/readyz')).statusCode).toBe(200);
    await api.getJob(id);
    expect((await api.inject('GET', `/files/${resultFile}/content`)).payload.split('\n')).toHaveLength(4);
  });
});
