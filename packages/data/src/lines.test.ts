import { expect, test } from 'vitest';
import { type Line, LineSplitter, readLines } from './lines.js';

const bytes = (text: string) => new TextEncoder().encode(text);
const shown = (line: Line) => ('text' in line ? [line.number, line.text] : [line.number, line.fault.code]);

function split(data: Uint8Array, chunk: number, maxLineBytes?: number) {
  const splitter = new LineSplitter({ maxLineBytes });
  const lines: Line[] = [];
  for (let at = 0; at < data.length; at += chunk) lines.push(...splitter.push(data.subarray(at, at + chunk)));
  return [...lines, ...splitter.end()].map(shown);
}

test.each([1, 2, 3, 1000])('LF, CRLF, byte-order mark, blank lines, a last line without end; chunks of %i', (chunk) => {
  expect(split(bytes('\ufeffa😀\r\n\r\n\nb\u0085c\n\ufeffd\re'), chunk)).toEqual([
    [1, 'a😀'],
    [2, ''],
    [3, ''],
    [4, 'b\u0085c'],
    [5, '\ufeffd\re'],
  ]);
  expect(split(bytes('a\n'), chunk)).toEqual([[1, 'a']]);
  expect(split(bytes('\n'), chunk)).toEqual([[1, '']]);
  expect(split(bytes(''), chunk)).toEqual([]);
});

test.each([1, 7, 1000])('the limit counts bytes without the line end; the lines after a long one are read; chunks of %i', (chunk) => {
  const text = `\ufeff${'é'.repeat(4)}\r\n${'a'.repeat(9)}\n${'b'.repeat(8)}\r\n${'c'.repeat(300)}\nd\n${'e'.repeat(9)}`;
  expect(split(bytes(text), chunk, 8)).toEqual([
    [1, 'éééé'],
    [2, 'line_too_long'],
    [3, 'bbbbbbbb'],
    [4, 'line_too_long'],
    [5, 'd'],
    [6, 'line_too_long'],
  ]);
});

test('bytes that are not UTF-8, and NUL, spoil their own line only', () => {
  const data = Uint8Array.from([0x61, 0xff, 10, 0xc3, 10, 0xa9, 10, 0x62, 0, 10, 0xed, 0xa0, 0x80, 10, 0x63]);
  expect(split(data, 2)).toEqual([
    [1, 'invalid_utf8'],
    [2, 'invalid_utf8'],
    [3, 'invalid_utf8'],
    [4, 'nul'],
    [5, 'invalid_utf8'],
    [6, 'c'],
  ]);
});

test('a stream that fails rejects with its own error, after the lines before it', async () => {
  const seen: unknown[] = [];
  const failing = async function* () {
    yield bytes('a\nb');
    throw new Error('connection cut');
  };
  const reading = async () => {
    for await (const line of readLines(failing())) seen.push(shown(line));
  };
  await expect(reading()).rejects.toThrow('connection cut');
  expect(seen).toEqual([[1, 'a']]);
});

test('what is held of a line without end stays below the limit', () => {
  const splitter = new LineSplitter({ maxLineBytes: 1000 });
  const chunk = new Uint8Array(600).fill(0x61);
  const held = () =>
    Object.values(splitter)
      .flatMap((v) => (Array.isArray(v) ? v : []))
      .reduce((sum, part: Uint8Array) => sum + part.length, 0);
  const most = Array.from({ length: 50 }, () => {
    expect([...splitter.push(chunk)]).toEqual([]);
    return held();
  });
  expect(Math.max(...most)).toBe(600);
});

test('the producer may use its buffer again', () => {
  const splitter = new LineSplitter();
  const buffer = new Uint8Array(2);
  const lines: Line[] = [];
  for (const part of ['ab', 'cd', 'e\n']) {
    buffer.set(bytes(part));
    lines.push(...splitter.push(buffer));
  }
  expect(lines.map(shown)).toEqual([[1, 'abcde']]);
});
