import { expect, test } from 'vitest';
import { tee } from './tee.js';

async function* numbers(n: number, log: number[] = []) {
  for (let i = 0; i < n; i++) {
    log.push(i);
    yield Uint8Array.of(i);
  }
}
const collect = async (stream: AsyncIterable<Uint8Array>) => {
  const bytes: number[] = [];
  for await (const chunk of stream) bytes.push(...chunk);
  return bytes;
};

test('both readers get every byte', async () => {
  const [a, b] = tee(numbers(100));
  const all = Array.from({ length: 100 }, (_, i) => i);
  expect(await Promise.all([collect(a), collect(b)])).toEqual([all, all]);
});

test('no more than one chunk is held for the slower reader', async () => {
  const log: number[] = [];
  const [a, b] = tee(numbers(10, log));
  const fast = collect(a);
  const slow = b[Symbol.asyncIterator]();
  await slow.next();
  await slow.next();
  // Let the fast reader run as far as it can.
  await new Promise((next) => setImmediate(next));
  expect(log.length).toBeLessThanOrEqual(3);
  await slow.return?.();
  expect(await fast).toHaveLength(10);
});

test('a reader that stops does not hold the other', async () => {
  const [a, b] = tee(numbers(5));
  const stopsEarly = (async () => {
    for await (const chunk of b) if (chunk[0] === 1) break;
  })();
  expect(await collect(a)).toEqual([0, 1, 2, 3, 4]);
  await stopsEarly;
});

test('a failing source fails both', async () => {
  const failing = async function* () {
    yield Uint8Array.of(1);
    throw new Error('cut');
  };
  const [a, b] = tee(failing());
  const outcome = await Promise.allSettled([collect(a), collect(b)]);
  expect(outcome.map((o) => o.status)).toEqual(['rejected', 'rejected']);
});
