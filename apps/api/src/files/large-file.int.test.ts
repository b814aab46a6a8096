/** A large upload goes through in constant memory: validated, hashed and stored while it arrives. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { Readable } from 'node:stream';
import { json } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTestApi, type TestApi } from '../testing/test-api.js';

const megabytes = 200;
/** Growth after the first quarter, by when every buffer and the collector's young space have their size; half of what holding the rest would take. */
const boundBytes = 75 * 2 ** 20;

let api: TestApi;
beforeAll(async () => {
  api = await openTestApi({ listen: true, maxFileBytes: 300 * 2 ** 20 });
});
afterAll(() => api.close());

/** Whole rows of about 1 kB, each different, in pieces that end anywhere; tells the peaks of the process's memory. */
function generated() {
  const hash = createHash('sha256');
  const seen = { bytes: 0, rows: 0, earlyRss: 0, peakRss: 0, sha256: () => hash.digest('hex') };
  const padding = 'what is said is said again '.repeat(36);
  async function* rows(): AsyncGenerator<Buffer> {
    while (seen.bytes < megabytes * 2 ** 20) {
      let text = '';
      for (let i = 0; i < 256; i++) text += `{"text":"row ${seen.rows++} ${padding}"}\n`;
      const piece = Buffer.from(text);
      hash.update(piece);
      seen.bytes += piece.length;
      seen.peakRss = Math.max(seen.peakRss, process.memoryUsage.rss());
      if (seen.bytes < (megabytes / 4) * 2 ** 20) seen.earlyRss = seen.peakRss;
      yield piece;
    }
  }
  return { seen, rows };
}

async function upload(content: AsyncIterable<Uint8Array>) {
  const boundary = 'a-boundary-of-ours';
  async function* form() {
    yield Buffer.from(
      `--${boundary}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n--${boundary}\r\ncontent-disposition: form-data; name="file"; filename="big.jsonl"\r\n\r\n`,
    );
    yield* content;
    yield Buffer.from(`\r\n--${boundary}--\r\n`);
  }
  // fetch reads a body that is a stream to its end, whether the server keeps up or not; a request of node:http waits.
  const sent = request(`${api.url}/files`, {
    method: 'POST',
    headers: { ...api.headers(), 'content-type': `multipart/form-data; boundary=${boundary}` },
  });
  const answered = once(sent, 'response');
  await pipeline(Readable.from(form(), { objectMode: false }), sent);
  const [answer] = (await answered) as [IncomingMessage];
  return (await json(answer)) as { id: string; bytes: number };
}

test(`${megabytes} MB in constant memory`, async () => {
  const { seen, rows } = generated();
  const file = await upload(rows());
  expect(file.bytes).toBe(seen.bytes);
  expect(seen.peakRss - seen.earlyRss).toBeLessThan(boundBytes);
  const report = (await api.inject('GET', `/files/${file.id}/report`)).json();
  expect(report).toMatchObject({ examples: seen.rows, bad_lines: 0, duplicates: 0, compression: null });
  const head = await api.app.inject({ method: 'GET', url: `/files/${file.id}/content`, headers: { ...api.headers(), range: 'bytes=0-9' } });
  expect(head.headers['etag']).toBe(`"${seen.sha256()}"`);
  await api.inject('DELETE', `/files/${file.id}`);
});
