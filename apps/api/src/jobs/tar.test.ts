import { createHash } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { storedContent, tarOf, tarSize } from './tar.js';

const content = new Map([
  ['a', 'first'],
  ['b', 'x'.repeat(512)],
  ['c', ''],
  ['d', 'y'.repeat(300_000)],
]);
const sha256 = (data: string) => createHash('sha256').update(data).digest('hex');
const entries = [...content].map(([key, data]) => ({ name: `${key}.bin`, key, bytes: data.length, sha256: sha256(data) }));
const store = (data: ReadonlyMap<string, string>) => ({
  get: async (key: string) => {
    const found = data.get(key);
    return found === undefined
      ? null
      : (async function* () {
          for (let i = 0; i < found.length; i += 10_000) yield Buffer.from(found.slice(i, i + 10_000));
        })();
  },
});
const contentsOf = (data: ReadonlyMap<string, string>) => entries.map((entry) => storedContent(store(data), entry));
const read = async (stream: AsyncIterable<Uint8Array>) => {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
};

test('POSIX ustar: name, mode, size, zero time, checksum, padding, two empty blocks', async () => {
  const tar = await read(tarOf(contentsOf(content)));
  expect(tar.length).toBe(tarSize(entries));
  let at = 0;
  for (const { name, key, bytes } of entries) {
    const header = tar.subarray(at, at + 512);
    const field = (start: number, length: number) => header.toString('latin1', start, start + length).replace(/[\0 ].*$/s, '');
    expect([field(0, 100), field(100, 8), field(124, 12), field(136, 12), field(257, 5)]).toEqual([
      name,
      '000644',
      bytes.toString(8).padStart(11, '0'),
      '00000000000',
      'ustar',
    ]);
    // The sum of the header's bytes, its own field read as blanks.
    const sum = header.reduce((total, byte, i) => total + (i >= 148 && i < 156 ? 32 : byte), 0);
    expect(Number.parseInt(field(148, 8), 8)).toBe(sum);
    expect(tar.toString('latin1', at + 512, at + 512 + bytes)).toBe(content.get(key));
    at += 512 + Math.ceil(bytes / 512) * 512;
  }
  expect(tar.subarray(at).equals(Buffer.alloc(1024))).toBe(true);
  expect((await read(tarOf(contentsOf(content)))).equals(tar)).toBe(true);
});

test.each([
  ['is missing', undefined],
  ['has other bytes', 'z'.repeat(300_000)],
  ['is too short', 'y'.repeat(299_999)],
  ['is too long', 'y'.repeat(300_001)],
])('content that %s breaks the stream', async (_what, data) => {
  const damaged = new Map(content);
  if (data === undefined) damaged.delete('d');
  else damaged.set('d', data);
  await expect(text(tarOf(contentsOf(damaged)))).rejects.toThrow('stored object d');
});
