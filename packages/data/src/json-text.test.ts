import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseJson } from './json-text.js';

const reason = (text: string, maxDepth = 32) => {
  const parsed = parseJson(text, maxDepth);
  return 'fault' in parsed ? `${parsed.fault.code}: ${parsed.fault.message}` : 'value';
};

test('the column of the fault, counted in characters, and what was expected there', () => {
  expect(reason('{"a": 1,}')).toBe('invalid_json: broken JSON at column 9: expected a key in double quotes, found "}"');
  expect(reason('{"😀": 1 "b"}')).toBe(`invalid_json: broken JSON at column 9: expected ',' or '}', found "\\""`);
  expect(reason("{'a': 1}")).toBe(`invalid_json: broken JSON at column 2: expected a key in double quotes, found "'"`);
  expect(reason('{"a": "b')).toBe('invalid_json: broken JSON at column 7: the text that begins here has no closing quote');
  expect(reason('{"a": "\t"}')).toBe('invalid_json: broken JSON at column 8: control character in text; write it as an escape such as \\n');
  expect(reason('{"a": "\\x"}')).toBe('invalid_json: broken JSON at column 8: unknown escape "\\\\x"');
  expect(reason('{"a": True}')).toBe('invalid_json: broken JSON at column 7: expected a value, found "T"');
  expect(reason('{"a": 01}')).toBe(`invalid_json: broken JSON at column 8: expected ',' or '}', found "1"`);
  expect(reason('{} {}')).toBe('invalid_json: broken JSON at column 4: expected the end of the line, found "{"');
  expect(reason('{"a": [1')).toBe(`invalid_json: broken JSON at column 9: expected ',' or ']', found the end of the line`);
});

test('keys that occur twice, __proto__, and depth are refused', () => {
  expect(reason('{"a": {"b": 1, "\\u0062": 2}}')).toBe('duplicate_key: JSON at column 16: the key "b" occurs twice');
  expect(reason('{"__proto__": {}}')).toBe('forbidden_key: JSON at column 2: the key "__proto__" is not allowed');
  expect(reason('{"constructor": 1, "toString": 2}')).toBe('value');
  expect(reason(`${'['.repeat(32)}${']'.repeat(32)}`)).toBe('value');
  expect(reason(`${'['.repeat(33)}${']'.repeat(33)}`)).toBe('too_deep: JSON at column 33: is nested deeper than 32');
  expect(reason('['.repeat(1_000_000))).toBe('too_deep: JSON at column 33: is nested deeper than 32');
});

test('takes what JSON.parse takes, with the same value, and refuses what it refuses', () => {
  const json = fc.json({ maxDepth: 4 });
  const mutated = fc
    .tuple(json, fc.nat(), fc.constantFrom('', '"', '{', '}', ',', '\\', '\\u00', '1e', '-', '.', ' ', '\n', 'null', '0'))
    .map(([text, at, piece]) => text.slice(0, at % (text.length + 1)) + piece + text.slice((at % (text.length + 1)) + (at % 2)));
  fc.assert(
    fc.property(fc.oneof(json, mutated, fc.string()), (text) => {
      let native: { value: unknown } | null = null;
      try {
        native = { value: JSON.parse(text) };
      } catch {}
      const own = parseJson(text, 1000);
      if ('value' in own) expect(own.value).toEqual(native?.value);
      else if (native !== null) expect(['duplicate_key', 'forbidden_key']).toContain(own.fault.code);
    }),
    { numRuns: 2000, seed: 5 },
  );
});
