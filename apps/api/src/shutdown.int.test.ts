import { expect, test } from 'vitest';
import { openTestApi } from './testing/test-api.js';

test('a stopping server ends its live streams, without saying that the job is done', async () => {
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
  await api.app.close();
  expect(await rest).not.toContain('event: done');
  await api.close();
});
