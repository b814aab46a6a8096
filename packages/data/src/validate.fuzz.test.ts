import fc from 'fast-check';
import { expect, test } from 'vitest';
import { lineFaultCodes } from './errors.js';
import { validateJsonl } from './validate.js';

async function* chunks(data: Uint8Array, size: number) {
  for (let at = 0; at < data.length; at += size) yield data.slice(at, at + size);
}
/** `ROWSMITH_FUZZ_RUNS` and `ROWSMITH_FUZZ_SEED` make it longer, or other. */
const settings = { numRuns: Number(process.env['ROWSMITH_FUZZ_RUNS'] ?? 300), seed: Number(process.env['ROWSMITH_FUZZ_SEED'] ?? 11) };
const goodRow = JSON.stringify({
  messages: [
    { role: 'user', content: 'Grüße 😀' },
    { role: 'assistant', content: 'ok\n' },
  ],
});

const anyFile = fc.oneof(
  fc.uint8Array({ maxLength: 400 }),
  fc
    .array(fc.oneof(fc.json(), fc.string(), fc.constant(goodRow), fc.constant('{"text":"x"}')), { maxLength: 12 })
    .map((lines) => new TextEncoder().encode(lines.join('\n'))),
  fc
    .tuple(fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 6 }), fc.integer({ min: 1, max: 6 }))
    .map(([edits, rows]) => {
      const data = new TextEncoder().encode(`${goodRow}\n`.repeat(rows));
      for (const [at, byte] of edits) data[at % data.length] = byte;
      return data;
    }),
);

test('any bytes: never throws, only listed codes, lines that exist, the same report however the stream is cut', async () => {
  await fc.assert(
    fc.asyncProperty(anyFile, fc.integer({ min: 1, max: 64 }), async (data, size) => {
      const report = await validateJsonl(chunks(data, size), { maxLineBytes: 200 });
      expect(report).toEqual(await validateJsonl(chunks(data, 1_000_000), { maxLineBytes: 200 }));
      const ends = data.filter((byte) => byte === 10).length;
      expect(report.lines).toBe(ends + (data.length > 0 && data[data.length - 1] !== 10 ? 1 : 0));
      expect(report.errorCount).toBe(report.errors.length);
      expect(report.bytes).toBe(data.length);
      for (const { code, line, message } of report.errors) {
        expect(lineFaultCodes).toContain(code);
        expect(line).toBeGreaterThanOrEqual(1);
        expect(line).toBeLessThanOrEqual(Math.max(1, report.lines));
        expect(message).not.toMatch(/\p{Cc}/u);
      }
      expect(report.examples + report.badLines).toBeLessThanOrEqual(Math.max(1, report.lines));
    }),
    settings,
  );
});

test('lines that were spoilt are the lines that are named', async () => {
  const spoil: readonly ((row: string) => string | Uint8Array)[] = [
    (row) => row.slice(0, -1),
    (row) => row.replace('assistant', 'bot'),
    (row) => row.replace('"content"', '"contents"'),
    (row) => `${row}${row}`,
    (row) => row.replace('ok', '\u0000'),
    (row) => Uint8Array.from([...new TextEncoder().encode(row), 0xff]),
    (row) => row.padEnd(300),
    () => '7',
  ];
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.option(fc.nat(spoil.length - 1), { freq: 2 }), { minLength: 1, maxLength: 30 }),
      fc.constantFrom('\n', '\r\n'),
      fc.integer({ min: 1, max: 100 }),
      async (plan, end, size) => {
        const file = Buffer.concat(
          plan.flatMap((way) => [Buffer.from(way === null ? goodRow : (spoil[way]?.(goodRow) ?? '')), Buffer.from(end)]),
        );
        const report = await validateJsonl(chunks(file, size), { maxLineBytes: 250 });
        const spoilt = plan.flatMap((way, i) => (way === null ? [] : [i + 1]));
        expect([...new Set(report.errors.map(({ line }) => line))]).toEqual(spoilt);
        expect(report.examples).toBe(plan.length - spoilt.length);
      },
    ),
    settings,
  );
});
