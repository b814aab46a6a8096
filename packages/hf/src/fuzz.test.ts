/** Spoilt copies of good files: read, or refused by a ModelError, and nothing else. `ROWSMITH_FUZZ_RUNS` (300) and `ROWSMITH_FUZZ_SEED` (7) make it longer, or other. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { ByteSource } from './byte-source.js';
import { ModelError } from './errors.js';
import { readGgufHeader } from './gguf/header.js';
import { openSafetensors } from './safetensors/read.js';
import { encodeSafetensors } from './safetensors/write.js';
import { chatTemplate } from './text/chat-template.js';
import { tokenizerFromJson } from './text/tokenizer.js';

const numRuns = Number(process.env['ROWSMITH_FUZZ_RUNS'] ?? 300);
const settings = { numRuns, seed: Number(process.env['ROWSMITH_FUZZ_SEED'] ?? 7) };
const limitMs = 30_000 + numRuns * 200;
const dir = mkdtempSync(join(tmpdir(), 'hf-fuzz-'));
afterAll(() => rmSync(dir, { recursive: true }));
const fixture = (name: string) => readFileSync(fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url)));
const corpusOf = (kind: string): Buffer[] => {
  const folder = fileURLToPath(new URL(`../fixtures/hostile/${kind}/`, import.meta.url));
  return readdirSync(folder).map((name) => readFileSync(join(folder, name)));
};

/** Bytes of a seed, changed as files break and as attackers change them: bytes, whole fields of 4 or 8, pieces gone or doubled, an end cut off. */
const spoilt = (seeds: readonly Uint8Array[], reach: number) =>
  fc
    .tuple(
      fc.constantFrom(...seeds),
      fc.array(
        fc.record({
          how: fc.constantFrom('byte', 'u32', 'u64', 'drop', 'double', 'cut'),
          at: fc.nat(reach),
          size: fc.integer({ min: 1, max: 16 }),
          value: fc.oneof(
            fc.bigInt(0n, 2n ** 64n - 1n),
            fc.constantFrom(0n, 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n),
          ),
        }),
        { minLength: 1, maxLength: 5 },
      ),
    )
    .map(([seed, edits]) => {
      let bytes = Buffer.from(seed);
      for (const { how, at: place, size, value } of edits) {
        const at = place % Math.max(1, bytes.length);
        if (how === 'byte' && at < bytes.length) bytes[at] = Number(value & 255n);
        else if (how === 'u32' && at + 4 <= bytes.length) bytes.writeUInt32LE(Number(value & 0xffffffffn), at);
        else if (how === 'u64' && at + 8 <= bytes.length) bytes.writeBigUInt64LE(value, at);
        else if (how === 'drop') bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + size)]);
        else if (how === 'double') bytes = Buffer.concat([bytes.subarray(0, at + size), bytes.subarray(at)]);
        else if (how === 'cut') bytes = bytes.subarray(0, at);
      }
      return bytes;
    });

async function readOrRefused(read: () => unknown): Promise<void> {
  try {
    await read();
  } catch (error) {
    expect(error).toBeInstanceOf(ModelError);
    expect((error as ModelError).message).not.toMatch(/\p{Cc}/u);
  }
}

test('safetensors', { timeout: limitMs }, async () => {
  const good = encodeSafetensors(
    new Map([
      ['a', { shape: [2, 3], data: new Float32Array(6) }],
      ['b', { shape: [4], data: new Int32Array(4) }],
    ]),
    { format: 'pt' },
  );
  const path = join(dir, 'f.safetensors');
  await fc.assert(
    fc.asyncProperty(spoilt([good, good, ...corpusOf('safetensors')], 300), async (bytes) => {
      writeFileSync(path, bytes);
      await readOrRefused(async () => {
        const file = await openSafetensors(path);
        for (const name of file.header.tensors.keys())
          await file.readF32(name).catch((error: unknown) => expect(error).toBeInstanceOf(ModelError));
        await file.close();
      });
    }),
    settings,
  );
});

test('gguf', { timeout: limitMs }, async () => {
  const tiny = fixture('tiny-llama.gguf');
  const path = join(dir, 'f.gguf');
  await fc.assert(
    fc.asyncProperty(spoilt([tiny, tiny, ...corpusOf('gguf')], 4_000), async (bytes) => {
      writeFileSync(path, bytes);
      const source = await ByteSource.open(path, 'f.gguf');
      await readOrRefused(() => readGgufHeader(source)).finally(() => source.close());
    }),
    settings,
  );
});

test('tokenizer.json', { timeout: limitMs }, async () => {
  const good = Buffer.from(
    JSON.stringify({
      ...{ version: '1.0', truncation: null, padding: null, added_tokens: [], normalizer: { type: 'NFC' } },
      pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
      ...{ post_processor: null, decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true } },
      model: { type: 'BPE', vocab: { a: 0, b: 1, ab: 2 }, merges: [['a', 'b']] },
    }),
  );
  await fc.assert(
    fc.asyncProperty(spoilt([good, ...corpusOf('tokenizer').filter((bytes) => bytes.length < 2_000)], 600), async (bytes) => {
      await readOrRefused(async () => {
        const tokenizer = tokenizerFromJson(bytes.toString('utf8'));
        const { ids } = await tokenizer.encode('ab ba 😀');
        expect(ids.every((id) => id >= 0)).toBe(true);
      });
    }),
    settings,
  );
});

test('chat templates', { timeout: limitMs }, async () => {
  const { templates } = JSON.parse(fixture('template-fixture.json').toString()) as { templates: { template: string }[] };
  // The slow ones of the corpus have their own test: here it is the number of runs that counts.
  const seeds = templates.map(({ template }) => Buffer.from(template)).filter((seed) => seed.length < 4_000);
  const pieces = [
    '{%',
    '%}',
    '{{',
    '}}',
    ' for i in range(9) ',
    ' endfor ',
    'messages',
    '[0]',
    '.content',
    '.constructor',
    '.__proto__',
    "'x'",
    '|join',
    '~',
    ' if ',
    '(',
  ];
  const built = fc.array(fc.constantFrom(...pieces), { maxLength: 14 }).map((parts) => Buffer.from(parts.join('')));
  const messages = [
    { role: 'user', content: 'hi {{ 1 }}' },
    { role: 'assistant', content: '__proto__' },
  ];
  await fc.assert(
    fc.asyncProperty(fc.oneof(spoilt(seeds, 2_000), built), async (bytes) => {
      await readOrRefused(() =>
        chatTemplate(bytes.toString('utf8'), { eos_token: '</s>' }, ['</s>']).render(messages, { addGenerationPrompt: true }),
      );
    }),
    settings,
  );
  expect(Object.keys(Object.prototype)).toEqual([]);
});
