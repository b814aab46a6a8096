import { expect, test } from 'vitest';
import { parseServerSentEvents } from './sse-parser.js';

async function* inPieces(text: string, size: number) {
  const bytes = new TextEncoder().encode(text);
  for (let i = 0; i < bytes.length; i += size) yield bytes.slice(i, i + size);
}
const parse = async (text: string, size: number) => {
  const events = [];
  for await (const event of parseServerSentEvents(inPieces(text, size))) events.push(event);
  return events;
};

const text =
  'retry: 500\n\n: heartbeat\n\nid: 1\ndata: {"a":"é"}\n\nid: 2\ndata:two\r\ndata: lines\r\n\r\nevent: done\ndata: x\n\nid: 3\ndata: cut off';
const expected = [
  { id: null, event: 'message', data: '', retryMs: 500 },
  { id: '1', event: 'message', data: '{"a":"é"}', retryMs: null },
  { id: '2', event: 'message', data: 'two\nlines', retryMs: null },
  { id: null, event: 'done', data: 'x', retryMs: null },
];

test.each([1, 2, 3, 7, 1_000])('pieces of %i bytes give the same events; a half event is not told', async (size) => {
  expect(await parse(text, size)).toEqual(expected);
});
