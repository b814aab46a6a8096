import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { ContentMismatchError } from './stored-bytes.js';
import { verifiedSource } from './verified-source.js';

const content = Buffer.from(Array.from({ length: 1000 }, (_, i) => (i * 7) % 251));
const ref = { key: 'k', bytes: content.length, sha256: createHash('sha256').update(content).digest('hex') };
const sizes = { block: 64, window: 200 };

/** A store of one object, whose bytes can be changed at any time; chunks of 33 bytes fall on no border. */
function storeOf(start: Buffer) {
  const ranges: string[] = [];
  const store = {
    bytes: start,
    ranges,
    get: async (_key: string, range?: { start: number; end: number }) => {
      ranges.push(range ? `${range.start}-${range.end}` : 'all');
      const part = range ? store.bytes.subarray(range.start, range.end + 1) : store.bytes;
      return (async function* () {
        for (let at = 0; at < part.length; at += 33) yield part.subarray(at, at + 33);
      })();
    },
  };
  return store;
}

test('any range, with few requests when they ascend', async () => {
  const store = storeOf(content);
  const source = await verifiedSource(store, ref, 'rows', sizes);
  expect(source).toMatchObject({ file: 'rows', size: 1000 });
  for (let at = 0; at < 1000; at += 50) expect(await source.read(at, 50)).toEqual(content.subarray(at, at + 50));
  expect(store.ranges.length).toBeLessThan(9);
  for (const [at, length] of [
    [999, 1],
    [0, 1000],
    [63, 2],
    [500, 0],
  ] as const)
    expect(await source.read(at, length)).toEqual(content.subarray(at, at + length));
});

test.each([
  ['other bytes', Buffer.alloc(1000)],
  ['one byte less', content.subarray(0, 999)],
  ['one byte more', Buffer.concat([content, Buffer.alloc(1)])],
])('%s are refused before anything is read', async (_what, bytes) => {
  await expect(verifiedSource(storeOf(bytes), ref, 'rows', sizes)).rejects.toBeInstanceOf(ContentMismatchError);
});

test('a missing object is refused', async () => {
  await expect(verifiedSource({ get: async () => null }, ref, 'rows', sizes)).rejects.toBeInstanceOf(ContentMismatchError);
});

test('what is damaged after the first reading does not pass', async () => {
  const store = storeOf(content);
  const source = await verifiedSource(store, ref, 'rows', sizes);
  await source.read(0, 10);
  const damaged = Buffer.from(content);
  damaged[700] = (damaged[700] ?? 0) ^ 1;
  store.bytes = damaged;
  expect(await source.read(300, 10)).toEqual(content.subarray(300, 310));
  await expect(source.read(690, 5)).rejects.toBeInstanceOf(ContentMismatchError);
  store.bytes = content.subarray(0, 500);
  await expect(source.read(600, 5)).rejects.toBeInstanceOf(ContentMismatchError);
});
