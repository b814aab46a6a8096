import fc from 'fast-check';
import { expect, test } from 'vitest';
import { topLevelMember } from './top-level-member.js';

test('any member of any object is found, whatever stands before it and however it is written', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.jsonValue(), fc.constantFrom(undefined, 2, '\t'), (others, value, space) => {
      const { wanted: _, ...before } = others;
      const text = JSON.stringify({ ...before, wanted: value, later: '}' }, null, space);
      expect(JSON.parse(topLevelMember(text, 'wanted') ?? 'none')).toEqual(JSON.parse(JSON.stringify(value)));
    }),
  );
});

test('what follows the member is not read', () => {
  expect(topLevelMember('{"a":[1,"]"], "b" : {"c":"\\"}"}, broken', 'b')).toBe('{"c":"\\"}"}');
});

test.each([
  ['an inner member', '{"a":{"wanted":1},"b":["wanted",2]}'],
  ['a text that names it', '{"a":"\\"wanted\\":1"}'],
  ['an escaped name', '{"\\u0077anted":1}'],
  ['a list', '["wanted"]'],
  ['no value', '{"a":1 "wanted":2}'],
  ['no name', '{wanted:1}'],
  ['an end', '{"a":'],
  ['nothing', ''],
])('%s is none', (_what, text) => {
  expect(topLevelMember(text, 'wanted')).toBeNull();
});
