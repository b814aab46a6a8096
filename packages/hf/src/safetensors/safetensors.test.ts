import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { ModelError } from '../errors.js';
import { openSafetensors } from './read.js';
import { openSharded, shardNames } from './sharded.js';
import { encodeSafetensors, writeSafetensors } from './write.js';

const dir = mkdtempSync(join(tmpdir(), 'hf-safetensors-'));
afterAll(() => rmSync(dir, { recursive: true }));
const path = join(dir, 'model.safetensors');

async function opened(bytes: Uint8Array) {
  writeFileSync(path, bytes);
  const file = await openSafetensors(path);
  await file.close();
  return file;
}
/** A file with this header text and so many data bytes. */
function withHeader(header: string, dataBytes: number, length = BigInt(Buffer.byteLength(header))): Buffer {
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(length);
  return Buffer.concat([size, Buffer.from(header), Buffer.alloc(dataBytes)]);
}
const tensors = new Map([
  ['w.f32', { shape: [2, 3], data: Float32Array.of(1, -0, 2.5, Number.NaN, 1e-45, 3) }],
  ['idx', { shape: [3], data: Int32Array.of(-1, 0, 2147483647) }],
  ['empty', { shape: [0, 4], data: new Float32Array(0) }],
]);

describe('safetensors', () => {
  it('writes what the Python library reads: layout, order, padding', () => {
    const bytes = Buffer.from(encodeSafetensors(tensors, { z: '1', a: 'ü' }));
    const length = Number(bytes.readBigUInt64LE(0));
    expect(length % 8).toBe(0);
    expect(
      bytes
        .subarray(8, 8 + length)
        .toString()
        .trimEnd(),
    ).toBe(
      '{"__metadata__":{"a":"ü","z":"1"},"empty":{"dtype":"F32","shape":[0,4],"data_offsets":[0,0]},' +
        '"idx":{"dtype":"I32","shape":[3],"data_offsets":[0,12]},"w.f32":{"dtype":"F32","shape":[2,3],"data_offsets":[12,36]}}',
    );
    expect(bytes.length).toBe(8 + length + 36);
    const other = new Map([...tensors].reverse());
    expect(Buffer.compare(bytes, encodeSafetensors(other, { a: 'ü', z: '1' }))).toBe(0);
  });

  it('reads back bit for bit, whole and by rows', async () => {
    const fresh = join(dir, 'written.safetensors');
    await writeSafetensors(fresh, tensors, { format: 'pt' });
    await expect(writeSafetensors(fresh, tensors)).rejects.toThrow(/EEXIST/);
    const file = await openSafetensors(fresh);
    expect({ ...file.header.metadata }).toEqual({ format: 'pt' });
    expect(new Uint32Array((await file.readF32('w.f32')).buffer)).toEqual(
      new Uint32Array(tensors.get('w.f32')?.data.buffer as ArrayBuffer),
    );
    expect([...(await file.readI32('idx'))]).toEqual([-1, 0, 2147483647]);
    expect((await file.readF32('empty')).length).toBe(0);
    expect([...(await file.readRows('w.f32', 1, 1))]).toEqual([Number.NaN, Math.fround(1e-45), 3]);
    await expect(file.readI32('w.f32')).rejects.toThrow(/is F32, not I32/);
    await expect(file.readF32('idx')).rejects.toThrow(/is I32; F32, F16 and BF16/);
    await expect(file.readF32('none')).rejects.toThrow(/has no tensor "none"/);
    await file.close();
  });

  it('widens f16 and bf16 exactly', async () => {
    // f16: 1, 65504, 2^-24, -inf. bf16 of pi: 0x4049 = 3.140625; smallest normal 0x0080 = 2^-126.
    const half = '{"h":{"dtype":"F16","shape":[4],"data_offsets":[0,8]},"b":{"dtype":"BF16","shape":[2],"data_offsets":[8,12]}}';
    const bytes = withHeader(half, 12);
    bytes.set(Buffer.from('003cff7b010000fc49408000', 'hex'), bytes.length - 12);
    writeFileSync(path, bytes);
    const file = await openSafetensors(path);
    expect([...(await file.readF32('h'))]).toEqual([1, 65504, 2 ** -24, Number.NEGATIVE_INFINITY]);
    expect([...(await file.readF32('b'))]).toEqual([3.140625, 2 ** -126]);
    await file.close();
  });

  it('reads a file of the Python library', async () => {
    const file = await openSafetensors(fileURLToPath(new URL('../../fixtures/tiny-llama/model.safetensors', import.meta.url)));
    expect(file.tensors.get('model.embed_tokens.weight')).toMatchObject({ dtype: 'F32', shape: [268, 32] });
    expect(file.tensors.size).toBe(20);
    await file.close();
  });

  const t = (fields: string) => `{"t":{${fields}}}`;
  const good = '"dtype":"F32","shape":[2],"data_offsets":[0,8]';
  const hostile: Record<string, [Buffer, RegExp]> = {
    'an empty file': [Buffer.alloc(0), /shorter than any safetensors file/],
    'a header beyond the file': [withHeader('{}', 0, 1000n), /header length is 1000/],
    'a header of 2^64 - 1': [withHeader('{}', 0, 2n ** 64n - 1n), /header length is 18446744073709551615/],
    'a header of 0 bytes': [withHeader('{}', 0, 0n), /header length is 0/],
    'broken JSON': [withHeader('{"a":', 0), /header: /],
    'a list': [withHeader('[]', 0), /header: does not start with \{/],
    'invalid UTF-8': [Buffer.concat([withHeader('', 0, 4n), Buffer.from('7b22ff7d', 'hex')]), /header: /],
    'a tensor twice': [withHeader(`{"t":{${good}},"t":{${good}}}`, 8), /header: key "t" occurs twice/],
    'a field twice': [withHeader(t(`${good},"dtype":"F32"`), 8), /header: key "dtype" occurs twice/],
    'a key twice by escape': [withHeader(`{"t":{${good}},"\\u0074":{${good}}}`, 8), /header: key "t" occurs twice/],
    'deep nesting': [withHeader(`{"t":${'['.repeat(5000)}${']'.repeat(5000)}}`, 0), /nested deeper/],
    'an unknown dtype': [withHeader(t('"dtype":"Q4","shape":[2],"data_offsets":[0,8]'), 8), /tensor "t": unknown dtype "Q4"/],
    'an unknown field': [withHeader(t(`${good},"x":1`), 8), /tensor "t": unknown field "x"/],
    'a negative shape': [withHeader(t('"dtype":"F32","shape":[-2],"data_offsets":[0,8]'), 8), /shape is not a list/],
    'a fractional shape': [withHeader(t('"dtype":"F32","shape":[1.5],"data_offsets":[0,8]'), 8), /shape is not a list/],
    'too many dimensions': [withHeader(t('"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]'), 4), /at most 8/],
    'a shape that overflows': [withHeader(t('"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]'), 8), /is too large/],
    'a shape that does not fit': [withHeader(t('"dtype":"F32","shape":[3],"data_offsets":[0,8]'), 8), /is 12 bytes, data_offsets span 8/],
    'offsets reversed': [withHeader(t('"dtype":"F32","shape":[2],"data_offsets":[8,0]'), 8), /end before they start/],
    'offsets of three': [withHeader(t('"dtype":"F32","shape":[2],"data_offsets":[0,8,8]'), 8), /not a pair/],
    'offsets beyond the file': [withHeader(t('"dtype":"F32","shape":[2],"data_offsets":[0,8]'), 4), /tensors end at byte/],
    'a gap': [withHeader(t('"dtype":"F32","shape":[1],"data_offsets":[4,8]'), 8), /4 unused bytes before tensor "t"/],
    'bytes left over': [withHeader(t(good), 16), /tensors end at byte/],
    overlaps: [
      withHeader('{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}', 8),
      /tensor "b" overlaps/,
    ],
    'metadata that is no text': [withHeader('{"__metadata__":{"a":1}}', 0), /__metadata__ "a" is not text/],
    'a tensor that is no object': [withHeader('{"t":1}', 0), /tensor "t": is not described by an object/],
    'too many tensors': [withHeader(`{${Array.from({ length: 100_001 }, (_, i) => `"${i}":0`).join()}}`, 0), /100001 tensors/],
  };
  for (const [what, [bytes, message]] of Object.entries(hostile)) {
    it(`refuses ${what} by name`, async () => {
      await expect(opened(bytes)).rejects.toThrow(message);
      await expect(opened(bytes)).rejects.toBeInstanceOf(ModelError);
    });
  }

  it('keeps a tensor called __proto__ as data', async () => {
    const file = await opened(withHeader('{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1));
    expect([...file.tensors.keys()]).toEqual(['__proto__']);
  });

  it('refuses to write what could not be read back', () => {
    const data = Float32Array.of(1);
    for (const name of ['7', '__proto__', '__metadata__'])
      expect(() => encodeSafetensors(new Map([[name, { shape: [1], data }]]))).toThrow(ModelError);
    expect(() => encodeSafetensors(new Map([['t', { shape: [2], data }]]))).toThrow(/does not hold 1 elements/);
  });

  it('survives any damage: parses or refuses by name', async () => {
    const valid = Buffer.from(encodeSafetensors(tensors, { format: 'pt' }));
    const headerEnd = 8 + Number(valid.readBigUInt64LE(0));
    const damage = fc.oneof(
      fc.record({
        at: fc.nat(headerEnd),
        text: fc.constantFrom('"', '{', '}', '[', ']', ',', ':', '0', '9', '-', 'e', '\\', 'F16', '9'.repeat(20)),
      }),
      fc.record({ at: fc.nat(headerEnd), byte: fc.integer({ min: 0, max: 255 }) }),
      fc.record({ at: fc.nat(valid.length), cut: fc.constant(true) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 4 }), async (damages) => {
        let bytes = Buffer.from(valid);
        for (const d of damages) {
          if ('cut' in d) bytes = bytes.subarray(0, d.at);
          else if ('text' in d) bytes.write(d.text, Math.min(d.at, bytes.length));
          else if (d.at < bytes.length) bytes[d.at] = d.byte;
        }
        await opened(bytes).catch((error: unknown) => {
          if (!(error instanceof ModelError) || error.code !== 'bad_safetensors') throw error;
        });
      }),
      { seed: 5, numRuns: 600 },
    );
  });
});

describe('sharded safetensors', () => {
  const one = (name: string) => encodeSafetensors(new Map([[name, { shape: [1], data: Float32Array.of(7) }]]));

  it('reads each tensor from its shard', async () => {
    writeFileSync(join(dir, 'a.safetensors'), one('x'));
    writeFileSync(join(dir, 'b.safetensors'), one('y'));
    const source = await openSharded(dir, shardNames({ x: 'a.safetensors', y: 'b.safetensors' }, 'index'));
    expect([...source.tensors.keys()]).toEqual(['x', 'y']);
    expect([...(await source.readRows('y', 0, 1))]).toEqual([7]);
    await source.close();
    await expect(openSharded(dir, shardNames({ x: 'b.safetensors' }, 'index'))).rejects.toThrow(
      /holds tensor "y", which the index does not place there/,
    );
    await expect(openSharded(dir, shardNames({ x: 'a.safetensors', z: 'a.safetensors' }, 'index'))).rejects.toThrow(/lacks tensor "z"/);
    await expect(openSharded(dir, shardNames({ x: 'c.safetensors' }, 'index'))).rejects.toThrow(/c\.safetensors: does not exist/);
  });

  it('never leaves the folder', () => {
    for (const shard of [
      '../a.safetensors',
      '/etc/passwd',
      'x/a.safetensors',
      '..\\a.safetensors',
      'a.bin',
      '',
      7,
      '.a.safetensors',
      'a\u0000.safetensors',
    ]) {
      expect(() => shardNames({ t: shard }, 'index')).toThrow(/not the name of a safetensors file in this folder/);
    }
    for (const map of [null, [], 'x', {}]) expect(() => shardNames(map, 'index')).toThrow(ModelError);
  });
});
