import { expect, it } from 'vitest';
import { runInNewProcess } from '../testing/run-in-new-process.js';

it('scores and training on one thread and on two: the same bits', async () => {
  const runs = async (threads: string) =>
    JSON.parse(await runInNewProcess(new URL('../testing/thread-runs.ts', import.meta.url), 'runsOnThreads', threads)) as {
      readonly digests: Readonly<Record<string, readonly string[]>>;
      readonly threads: number | null;
    };
  const [one, two] = [await runs('1'), await runs('2')];
  expect(Object.keys(one.digests)).toHaveLength(21);
  expect(two.digests).toEqual(one.digests);
  if (one.threads !== null) expect(two.threads).toBeGreaterThan(one.threads);
});
