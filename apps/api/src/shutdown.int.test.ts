import { expect, test } from 'vitest';
import { defaults } from './server.js';
import { openTestApi } from './testing/test-api.js';

test('a key has so many live streams and no more; a stopping server ends them all, without saying that the job is done', async () => {
  const api = await openTestApi({ listen: true });
  const file = await api.uploadExamples();
  const job = await api.createJob(file.id);
  const response = await fetch(`${api.url}/jobs/${job.id}/events`, { headers: { ...api.headers(), accept: 'text/event-stream' } });
  const reader = response.body?.getReader();
  const first = await reader?.read();
  expect(Buffer.from(first?.value ?? []).toString()).toMatch(/^retry: /);
  const rest = (async () => {
    let text = '';
    for (;;) {
      const chunk = await reader?.read();
      if (chunk === undefined || chunk.done) return text;
      text += Buffer.from(chunk.value).toString();
    }
  })();
  // With the one above these are as many as a key may have; one that ends makes room.
  const open = (signal: AbortSignal | null = null) =>
    fetch(`${api.url}/jobs/${job.id}/events`, { headers: { ...api.headers(), accept: 'text/event-stream' }, signal });
  const abort = new AbortController();
  expect((await open(abort.signal)).status).toBe(200);
  const others = await Promise.all(Array.from({ length: defaults.maxStreamsPerKey - 2 }, () => open()));
  expect(new Set(others.map(({ status }) => status))).toEqual(new Set([200]));
  const refused = await open();
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '5']);
  expect(await refused.json()).toMatchObject({ error: { code: 'too_many_streams', type: 'rate_limit_error' } });
  abort.abort();
  await expect.poll(async () => (await open()).status, { timeout: 30_000, interval: 200 }).toBe(200);

  await api.app.close();
  await Promise.all(others.map((response) => response.text()));
  expect(await rest).not.toContain('event: done');
  await api.close();
});
