import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { GzipError, openCompressed } from './gunzip.js';

async function* inChunksOf(bytes: Uint8Array, size: number) {
  for (let i = 0; i < bytes.length; i += size) yield bytes.slice(i, i + size);
}
async function read(source: AsyncIterable<Uint8Array>) {
  const { compression, body } = await openCompressed(source);
  const parts: Uint8Array[] = [];
  for await (const part of body) parts.push(part);
  return { compression, text: Buffer.concat(parts).toString() };
}
const text = '{"text":"ä"}\n'.repeat(1000);

test('gzip is told by its bytes, in chunks of any size; the rest passes as it is', async () => {
  for (const size of [1, 7, 4096]) {
    expect(await read(inChunksOf(gzipSync(text), size))).toEqual({ compression: 'gzip', text });
    expect(await read(inChunksOf(Buffer.from(text), size))).toEqual({ compression: null, text });
  }
  const members = Buffer.concat([gzipSync('a\n'), gzipSync('b\n')]);
  expect((await read(inChunksOf(members, 5))).text).toBe('a\nb\n');
  expect(await read(inChunksOf(new Uint8Array(), 1))).toEqual({ compression: null, text: '' });
  expect((await read(inChunksOf(Buffer.from('\x1f'), 1))).text).toBe('\x1f');
});

test('cut off or damaged gzip is named; a failing source keeps its own error', async () => {
  const packed = gzipSync(text);
  await expect(read(inChunksOf(packed.subarray(0, -9), 50))).rejects.toThrow(GzipError);
  const damaged = Buffer.from(packed);
  damaged.writeUInt32LE(0, packed.length - 8);
  await expect(read(inChunksOf(damaged, 50))).rejects.toThrow(GzipError);
  const failing = async function* () {
    yield packed.subarray(0, 20);
    throw new Error('the client hung up');
  };
  await expect(read(failing())).rejects.toThrow('the client hung up');
});
