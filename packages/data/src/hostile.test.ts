import { createReadStream, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { lineFaultCodes } from './errors.js';
import { validateJsonl } from './validate.js';

const corpus = new URL('../fixtures/hostile/', import.meta.url);
const expected = JSON.parse(readFileSync(new URL('expected.json', corpus), 'utf8')) as Record<string, string | null>;

test.each(Object.entries(expected))(
  '%s: the line is named, the lines beside it count, nothing of it is printed raw',
  async (name, code) => {
    const report = await validateJsonl(createReadStream(fileURLToPath(new URL(`${name}.jsonl`, corpus))));
    expect(report.examples).toBe(2);
    expect(report.lines).toBe(3);
    expect(report.errors.length).toBeGreaterThan(0);
    for (const { line, code: found, message, path } of report.errors) {
      expect(line).toBe(2);
      expect(lineFaultCodes).toContain(found);
      expect(`${path}${message}`).not.toMatch(/[\p{Cc}\u202a-\u202e]/u);
      expect(message.length).toBeLessThan(500);
    }
    // null: refused, and which of its faults is told does not matter.
    if (code !== null) expect(report.errors.map((error) => error.code)).toContain(code);
    expect(Object.keys(Object.prototype)).toEqual([]);
  },
);
