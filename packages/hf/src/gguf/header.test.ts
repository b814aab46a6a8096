import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gguf } from '@huggingface/gguf';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { ByteSource } from '../byte-source.js';
import { ModelError } from '../errors.js';
import {
  buildGguf,
  bytesOf,
  type Field,
  type GgufParts,
  keyF32,
  keyText,
  keyTexts,
  keyU32,
  tensor,
  text,
  u8,
  u32,
  u64,
} from './build-gguf.js';
import { readGgufHeader } from './header.js';
import { importGguf } from './import-gguf.js';

const dir = mkdtempSync(join(tmpdir(), 'hf-gguf-'));
afterAll(() => rmSync(dir, { recursive: true }));
const tiny = fileURLToPath(new URL('../../fixtures/tiny-llama.gguf', import.meta.url));

async function parse(bytes: Uint8Array) {
  const path = join(dir, 'model.gguf');
  writeFileSync(path, bytes);
  const source = await ByteSource.open(path, 'model.gguf');
  try {
    return await readGgufHeader(source);
  } finally {
    await source.close();
  }
}

describe('readGgufHeader', () => {
  it('finds the same metadata and tensors as @huggingface/gguf', async () => {
    const reference = await gguf(tiny, { allowLocalFile: true });
    const source = await ByteSource.open(tiny, 'tiny');
    const header = await readGgufHeader(source);
    await source.close();
    const own = Object.fromEntries(header.metadata);
    const { version: _v, tensor_count: _t, kv_count: _k, ...theirs } = reference.metadata as Record<string, unknown>;
    expect(own).toEqual(theirs);
    expect([...header.tensors.values()].map((t) => [t.name, t.shape])).toEqual(
      reference.tensorInfos.map((t) => [t.name, t.shape.map(Number).reverse()]),
    );
    const start = Number(reference.tensorDataOffset);
    expect([...header.tensors.values()].map((t) => t.offset - start)).toEqual(reference.tensorInfos.map((t) => Number(t.offset)));
  });

  it('reads every value type', async () => {
    const value = (type: number, hex: string) => [text(`k${type}`), u32(type), ...[...Buffer.from(hex, 'hex')].map(u8)];
    const keys = [
      value(0, 'ff'),
      value(1, 'ff'),
      value(2, 'feff'),
      value(3, 'feff'),
      value(4, 'ffffffff'),
      value(5, 'ffffffff'),
      value(6, '0000c03f'),
      value(7, '01'),
      value(10, 'ffffffffffffffff'),
      value(11, 'ffffffffffffffff'),
      value(12, '000000000000f83f'),
      keyText('k8', 'ä😀'),
      keyTexts('k9', ['a', '']),
    ];
    const { metadata } = await parse(buildGguf({ keys }));
    expect(Object.fromEntries(metadata)).toEqual({
      k0: 255,
      k1: -1,
      k2: 65534,
      k3: -2,
      k4: 4294967295,
      k5: -1,
      k6: 1.5,
      k7: true,
      k10: 18446744073709551615n,
      k11: -1,
      k12: 1.5,
      k8: 'ä😀',
      k9: ['a', ''],
    });
  });

  const f32 = (name: string, offset: number | bigint, dims: readonly (number | bigint)[] = [8]) => tensor(name, dims, 0, offset);
  const hostile: Record<string, [GgufParts | Uint8Array, RegExp]> = {
    'an empty file': [Buffer.alloc(0), /file ends inside the magic number/],
    'another format': [{ magic: 'GGML' }, /not a GGUF file/],
    'version 1': [{ version: 1 }, /version 1 is not supported/],
    'big-endian': [{ version: 0x03000000 }, /big-endian/],
    'too many tensors': [{ tensorCount: 2n ** 63n }, /tensor count is 9223372036854775808/],
    'more tensors than bytes': [{ tensorCount: 99_999 }, /tensor count is 99999, more than the file can hold/],
    'too many keys': [{ keyCount: 2n ** 40n }, /metadata count is 1099511627776/],
    'a huge string': [{ keys: [[text('k'), u32(8), u64(2n ** 60n)]] }, /length of metadata "k" is 1152921504606846976/],
    'a string longer than the file': [
      { keys: [[text('k'), u32(8), u64(1_000_000)]] },
      /length of metadata "k" is 1000000, more than the file can hold/,
    ],
    'a huge array': [{ keys: [[text('k'), u32(9), u32(0), u64(2n ** 50n)]] }, /element count is 1125899906842624/],
    'an array longer than the file': [
      { keys: [[text('k'), u32(9), u32(12), u64(4_000_000)]] },
      /element count is 4000000, more than the file can hold/,
    ],
    'arrays of arrays': [{ keys: [[text('k'), u32(9), u32(9), u64(1)]] }, /arrays of arrays/],
    'an unknown value type': [{ keys: [[text('k'), u32(77)]] }, /unknown value type 77/],
    'a boolean of 2': [{ keys: [[text('k'), u32(7), u8(2)]] }, /boolean is 2/],
    'invalid UTF-8': [{ keys: [[text('k'), u32(8), u64(1), u8(0xff)]] }, /not valid UTF-8/],
    'a key twice': [{ keys: [keyU32('k', 1), keyU32('k', 2)] }, /"k" occurs twice/],
    'alignment 0': [{ keys: [keyU32('general.alignment', 0)] }, /general\.alignment is 0/],
    'alignment 24': [{ keys: [keyU32('general.alignment', 24)] }, /general\.alignment is 24/],
    'an unknown tensor type': [{ tensors: [tensor('t', [8], 99, 0)], dataBytes: 64 }, /tensor "t": unknown tensor type 99/],
    'an unsupported tensor type': [
      { tensors: [tensor('t', [256], 10, 0)], dataBytes: 640 },
      /type Q2_K cannot be read; export the model as one of F32/,
    ],
    'five dimensions': [{ tensors: [f32('t', 0, [1, 1, 1, 1, 1])], dataBytes: 64 }, /5 dimensions/],
    'no dimensions': [{ tensors: [f32('t', 0, [])], dataBytes: 64 }, /0 dimensions/],
    'an empty dimension': [{ tensors: [f32('t', 0, [0])], dataBytes: 64 }, /shape \[0\] is empty/],
    'a huge shape': [{ tensors: [f32('t', 0, [2 ** 40, 2 ** 40])], dataBytes: 64 }, /is empty or too large/],
    'a huge dimension': [{ tensors: [f32('t', 0, [2n ** 63n])], dataBytes: 64 }, /dimension 0 is 9223372036854775808/],
    'a shape beyond the file': [{ tensors: [f32('t', 0, [1_000_000])], dataBytes: 64 }, /needs 4000000 bytes, the file has/],
    'half a block': [{ tensors: [tensor('t', [33], 8, 0)], dataBytes: 640 }, /not whole Q8_0 blocks/],
    'an offset off the grid': [{ tensors: [f32('t', 8)], dataBytes: 640 }, /offset 8 is not a multiple of the alignment 32/],
    'an offset beyond the file': [{ tensors: [f32('t', 2 ** 40)], dataBytes: 64 }, /lie outside the file/],
    'an offset that wraps': [{ tensors: [f32('t', 2n ** 64n - 32n)], dataBytes: 64 }, /offset is 18446744073709551584/],
    overlaps: [{ tensors: [f32('a', 0, [16]), f32('b', 32)], dataBytes: 128 }, /"a" and "b" overlap/],
    'a tensor twice': [{ tensors: [f32('a', 0), f32('a', 32)], dataBytes: 128 }, /"a" occurs twice/],
    'a header cut off': [buildGguf({ keys: [keyText('key', 'value')] }).subarray(0, 40), /ends inside/],
  };
  for (const [what, [parts, message]] of Object.entries(hostile)) {
    it(`refuses ${what} by name`, async () => {
      const bytes = parts instanceof Uint8Array ? parts : buildGguf(parts);
      await expect(parse(bytes)).rejects.toThrow(message);
      await expect(parse(bytes)).rejects.toBeInstanceOf(ModelError);
    });
  }
});

describe('importGguf', () => {
  const valid = readFileSync(tiny);
  async function importing(bytes: Uint8Array) {
    const path = join(dir, 'import.gguf');
    writeFileSync(path, bytes);
    await (await importGguf(path)).tensors.close();
  }
  /** The fixture with extra metadata in front. */
  const withKeys = (...keys: Field[][]) => {
    const count = valid.readBigUInt64LE(16);
    const head = Buffer.from(valid.subarray(0, 24));
    head.writeBigUInt64LE(count + BigInt(keys.length), 16);
    const extra = bytesOf(...keys.flat());
    // Data must stay aligned: pad with a text of the missing length.
    const pad = (32 - ((extra.length + 8 + 3 + 4 + 8) % 32)) % 32;
    head.writeBigUInt64LE(count + BigInt(keys.length) + 1n, 16);
    return Buffer.concat([head, extra, bytesOf(...keyText('pad', ' '.repeat(pad))), valid.subarray(24)]);
  };

  it('takes the fixture, with keys that say nothing about the decoder', async () => {
    await importing(valid);
    await importing(withKeys(keyText('general.url', 'x'), keyF32('llama.rope.scaling.factor', 1)));
  });

  const refused: Record<string, [Field[], RegExp]> = {
    'rope scaling': [keyText('llama.rope.scaling.type', 'yarn'), /llama\.rope\.scaling\.type = "yarn" with factor 1 is not supported/],
    experts: [keyU32('llama.expert_count', 8), /llama\.expert_count = 8 is not supported/],
    'a key nobody knows': [keyU32('llama.new_trick', 1), /"llama\.new_trick" is not understood/],
    'a part of a split model under another name': [
      keyU32('split.count', 3),
      /is one of 3 parts, so its name has to end with -0000k-of-00003/,
    ],
  };
  for (const [what, [key, message]] of Object.entries(refused)) {
    it(`refuses ${what}`, () => expect(importing(withKeys(key))).rejects.toThrow(message));
  }

  it('refuses other architectures and tokenizers by name', async () => {
    await expect(importing(buildGguf({ keys: [keyText('general.architecture', 'mamba')] }))).rejects.toThrow(
      /general\.architecture "mamba" is not supported/,
    );
    await expect(
      importing(buildGguf({ keys: [keyText('general.architecture', 'llama'), keyText('tokenizer.ggml.model', 'bert')] })),
    ).rejects.toThrow(/tokenizer model "bert" cannot be rebuilt/);
    const pre = [
      keyText('general.architecture', 'llama'),
      keyText('tokenizer.ggml.model', 'gpt2'),
      keyText('tokenizer.ggml.pre', 'mystery'),
      keyTexts('tokenizer.ggml.tokens', ['a']),
    ];
    await expect(importing(buildGguf({ keys: pre }))).rejects.toThrow(/pre-tokenizer "mystery" is not known/);
  });

  it('survives any damage: parses or refuses by name', async () => {
    const numbers = [0n, 1n, 255n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];
    const position = fc.integer({ min: 0, max: 6500 });
    const damage = fc.oneof(
      fc.record({ at: position, byte: fc.integer({ min: 0, max: 255 }) }),
      fc.record({ at: position, long: fc.constantFrom(...numbers) }),
      fc.record({ at: position, cut: fc.constant(true) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 4 }), async (damages) => {
        let bytes = Buffer.from(valid);
        for (const d of damages) {
          if ('cut' in d) bytes = bytes.subarray(0, d.at);
          else if (d.at + 8 <= bytes.length) 'long' in d ? bytes.writeBigUInt64LE(d.long, d.at) : bytes.writeUInt8(d.byte, d.at);
        }
        await importing(bytes).catch((error: unknown) => {
          if (!(error instanceof ModelError) || error.fault !== 'model') throw error;
        });
      }),
      { seed: 4, numRuns: 400 },
    );
  });
});
