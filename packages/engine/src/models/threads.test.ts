import { existsSync } from 'node:fs';
import { expect, it } from 'vitest';
import { runInNewProcess } from '../testing/run-in-new-process.js';

it.runIf(existsSync('/proc/self/task'))('one thread and two give the same bits, small model and demo model', async () => {
  const digest = async (threads: string) =>
    JSON.parse(await runInNewProcess(new URL('./thread-digest.ts', import.meta.url), 'digestOnThreads', threads)) as Record<
      string,
      unknown
    >;
  const [one, two] = [await digest('1'), await digest('2')];
  expect(two['threads']).toBeGreaterThan(one['threads'] as number);
  expect({ ...two, threads: 0 }).toEqual({ ...one, threads: 0 });
});
