import { Writable } from 'node:stream';
import { noProgress } from '@rowsmith/client';
import { expect, test } from 'vitest';
import { openScreen } from './watch.js';

test('without a terminal a long job prints about twenty lines, first and last step included', () => {
  let text = '';
  const stream = new Writable({
    write: (chunk, _encoding, done) => {
      text += chunk;
      done();
    },
  });
  const screen = openScreen(stream as NodeJS.WriteStream);
  screen.line('started');
  for (let step = 1; step <= 1000; step += 1) screen.progress({ ...noProgress, step, totalSteps: 1000, trainLoss: 1 });
  const lines = text.trim().split('\n');
  expect(lines[0]).toBe('started');
  expect(lines[1]).toMatch(/step 1\/1000/);
  expect(lines.at(-1)).toMatch(/step 1000\/1000/);
  expect(lines.length).toBeLessThan(25);
});
