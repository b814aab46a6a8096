/**
 * Kill anything, at any time, and the adapter comes out byte-identical: the built programs, broken by a seed, on both queues and both stores. Few faults
 * here, for the time that it takes; `npm run chaos` makes as many as are asked for.
 */
import { runChaos } from '@rowsmith/testkit';
import { expect, test } from 'vitest';

test.each([
  ['redis', 's3', 3],
  ['postgres', 'fs', 4],
] as const)(
  'queue on %s, objects on %s: every job ends with the bytes of the undisturbed one, no rule is broken',
  async (queue, storage, seed) => {
    const made: unknown[] = [];
    const report = await runChaos({ queue, storage, faults: 20, seed, log: (line) => made.push(line) });
    // The faults are part of the failure: with the seed they can be made again.
    expect(report.violations, made.map((line) => JSON.stringify(line)).join('\n')).toEqual([]);
    expect(report.faults).toBe(20);
    expect(report.jobs).toBeGreaterThan(0);
  },
);
