import { expect, test } from 'vitest';
import { describeErrors } from './describe-errors.js';
import { type ValidationOptions, validateJsonl } from './validate.js';

async function* stream(...parts: readonly (string | Uint8Array)[]) {
  for (const part of parts) yield typeof part === 'string' ? new TextEncoder().encode(part) : part;
}
const validate = (text: string, options?: ValidationOptions) => validateJsonl(stream(text), options);
const chat = (...messages: unknown[]) => JSON.stringify({ messages });
const user = (content: unknown) => ({ role: 'user', content });
const assistant = (content: unknown, more = {}) => ({ role: 'assistant', content, ...more });
const good = chat(user('Hi'), assistant('Hello'));
/** The faults of one row, put after a good one. */
const faults = async (row: string) => {
  const { errors, examples } = await validate(`${good}\n${row}\n`);
  expect(examples).toBe(errors.length === 0 ? 2 : 1);
  return errors.map(({ line, code, path }) => `${line} ${code} ${path}`.trim());
};

test('good files of the three shapes', async () => {
  const rows = [
    [
      good,
      chat({ role: 'system', content: '' }, user('a'), assistant('b', { weight: 0 }), user('c'), assistant('d', { weight: 1, name: 'x' })),
    ],
    ['{"prompt":"a","completion":" b"}', '{"completion":"b","prompt":"a"}'],
    ['{"text":"a"}', ' {"text" : "\\ud83d\\ude00"}\t'],
  ];
  const shapes = ['chat', 'prompt_completion', 'text'];
  for (const [i, lines] of rows.entries()) {
    const text = `\ufeff${lines.join('\r\n')}`;
    expect(await validate(text)).toEqual({
      shape: shapes[i],
      examples: 2,
      blankLines: 0,
      duplicates: 0,
      bytes: Buffer.byteLength(text),
      lines: 2,
      errors: [],
      errorCount: 0,
      badLines: 0,
      shapeLine: 1,
      warnings: [],
    });
  }
});

test('each fault of a chat row has its path', async () => {
  expect(await faults(chat({ role: 'bot', content: 'x' }, assistant('y')))).toEqual(['2 unknown_role messages[0].role']);
  expect(await faults(chat(user('x')))).toEqual(['2 no_assistant messages']);
  expect(await faults(chat(user('x'), assistant('y'), user('z')))).toEqual(['2 last_not_assistant messages[2].role']);
  expect(await faults(chat(user('x'), assistant('y', { weight: 0 })))).toEqual(['2 no_assistant messages']);
  expect(await faults(chat(user('x'), assistant('y', { weight: 0.5 })))).toEqual(['2 invalid_weight messages[1].weight']);
  expect(await faults(chat({ ...user('x'), weight: 1 }, assistant('y')))).toEqual(['2 unknown_field messages[0].weight']);
  expect(await faults(chat(user(''), assistant(' \n')))).toEqual(['2 empty messages[0].content', '2 empty messages[1].content']);
  expect(await faults(chat(user(['x']), assistant(null)))).toEqual([
    '2 wrong_type messages[0].content[0]',
    '2 wrong_type messages[1].content',
  ]);
  expect(await faults(chat({ content: 'x' }, { role: 'assistant' }))).toEqual([
    '2 missing_field messages[0].role',
    '2 missing_field messages[1].content',
  ]);
  expect(await faults(chat('x', assistant('y')))).toEqual(['2 wrong_type messages[0]']);
  expect(await faults(chat({ role: 'tool', content: 'x' }, assistant('y', { tool_calls: [] })))).toEqual([
    '2 empty messages[1].tool_calls',
  ]);
  expect(await faults(chat(user('\u0000'), assistant('\ud800')))).toEqual([
    '2 nul messages[0].content',
    '2 lone_surrogate messages[1].content',
  ]);
  expect(await faults(chat(user('x'), assistant(null, { function_call: { name: 'f', arguments: '{}' } })))).toEqual([
    '2 unsupported messages[1].function_call',
    '2 wrong_type messages[1].content',
  ]);
  expect(await faults(chat({ role: 'function', name: 'f', content: 'x' }, assistant('y')))).toEqual(['2 unsupported messages[0].role']);
  expect(await faults('{"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"}],"functions":[]}')).toEqual([
    '2 unsupported functions',
  ]);
  expect(await faults('{"messages":[]}')).toEqual(['2 empty messages']);
  expect(await faults('{"messages":"x","id":7,"a b":1}')).toEqual([
    '2 unknown_field id',
    '2 unknown_field ["a b"]',
    '2 wrong_type messages',
  ]);
});

test('each fault of other rows', async () => {
  expect(await faults('[]')).toEqual(['2 not_an_object']);
  expect(await faults('{"Messages":[]}')).toEqual(['2 unknown_shape']);
  expect(await faults('{"text":"x"}')).toEqual(['2 mixed_shapes']);
  expect(await faults('{"prompt":""}')).toEqual(['2 mixed_shapes', '2 empty prompt', '2 missing_field completion']);
  expect(await faults('{"messages":[}')).toEqual(['2 invalid_json']);
  expect(await faults(`{"messages":${'['.repeat(40)}${']'.repeat(40)}}`)).toEqual(['2 too_deep']);
  expect(await faults('{"messages":[],"messages":[]}')).toEqual(['2 duplicate_key']);
  expect(await faults(JSON.stringify({ messages: [user('x'.repeat(2 ** 20)), assistant('y')] }))).toEqual(['2 line_too_long']);
});

test('every bad line is named, not just the first; blank lines count as lines', async () => {
  const lines = Array.from({ length: 40 }, (_, i) => (i === 36 ? `${good},` : i === 38 ? chat(user('x')) : i % 10 === 5 ? '  ' : good));
  const report = await validate(lines.join('\n'));
  expect(report).toMatchObject({ examples: 34, lines: 40, errorCount: 2, badLines: 2, warnings: ['4 blank lines were skipped'] });
  expect(describeErrors(report)).toBe(
    `2 errors in 2 lines. Line 37: broken JSON at column ${good.length + 1}: expected the end of the line, found ","; ` +
      'Line 39: messages: there is no assistant message, so nothing to learn.',
  );
});

test('kept errors are limited, counted ones are not', async () => {
  const report = await validate('{"text":""}\n'.repeat(5000), { maxErrors: 3 });
  expect(report).toMatchObject({ examples: 0, errorCount: 5000, badLines: 5000 });
  expect(report.errors).toHaveLength(3);
  expect(describeErrors(report, 1)).toBe('5000 errors in 5000 lines. Line 1: text: is empty; and 4999 more.');
  expect((await validate('{"text":""}\n'.repeat(1001))).errors).toHaveLength(1000);
});

test('a line with half a million faults is named with the first hundred or so, and the lines after it are read', async () => {
  for (const many of [
    `{"messages":[${'0,'.repeat(500_000)}0]}`,
    `{"text":"x",${Array.from({ length: 5000 }, (_, i) => `"${i}":0`).join()}}`,
  ]) {
    const { errors, errorCount, badLines } = await validate(`${many}\n{"text":""}\n`);
    expect(badLines).toBe(2);
    expect(errors.slice(0, 100).every(({ line }) => line === 1)).toBe(true);
    expect(errorCount).toBeGreaterThan(100);
    expect(errorCount).toBeLessThan(110);
    expect(errors.at(-1)).toMatchObject({ line: 2, path: 'text', code: 'empty' });
  }
});

test('empty files and too many examples', async () => {
  expect(describeErrors(await validate(''))).toBe('1 error in 1 line. Line 1: the file is empty.');
  expect(describeErrors(await validate('\n \r\n'))).toBe('1 error in 1 line. Line 1: the file holds no examples, only blank lines.');
  expect(describeErrors(await validate('{"text":"a"}\n'.repeat(4), { maxExamples: 3 }))).toBe(
    '1 error in 1 line. Line 4: the file holds more than 3 examples.',
  );
});

test('a UTF-16 file and a file of another kind are refused by their first line', async () => {
  const utf16 = Uint8Array.from(Buffer.from(`\ufeff${good}\n`, 'utf16le'));
  expect((await validateJsonl(stream(utf16))).errors[0]).toMatchObject({
    line: 1,
    code: 'nul',
    message: expect.stringContaining('save the file as UTF-8'),
  });
  expect((await validate('prompt,completion\na,b\n')).errors.map(({ line, code }) => [line, code])).toEqual([
    [1, 'invalid_json'],
    [2, 'invalid_json'],
  ]);
});

test('values from the file are cut and escaped in messages', async () => {
  const { errors } = await validate(chat({ role: `\u202e${'x'.repeat(500)}\n`, content: 'a' }, assistant('b')));
  expect(errors[0]?.message).toBe(`messages[0].role: unknown role "?${'x'.repeat(36)}..."; use system, user, assistant, tool`);
});
