/**
 * Kill anything, at any time, and the adapter comes out byte-identical: the built programs, broken by a seed, on both queues and both stores, at the same time
 * since most of a run is waiting. `npm run chaos` is the long form.
 */
import { installedFakeTime, runChaos } from '@rowsmith/testkit';
import { expect, test } from 'vitest';

const faults = 150;

test.concurrent.each([
  ['redis', 's3', 3],
  ['postgres', 'fs', 4],
] as const)(
  'queue on %s, objects on %s: every job ends with the bytes of the undisturbed one, no rule is broken',
  async (queue, storage, seed) => {
    const made: unknown[] = [];
    const report = await runChaos({ queue, storage, faults, seed, fakeTime: installedFakeTime(), log: (line) => made.push(line) });
    // The faults are part of the failure: with the seed they can be made again.
    const story = () => `${JSON.stringify(report.violations)}\n${made.map((line) => JSON.stringify(line)).join('\n')}`;
    expect(report.violations, report.violations.length > 0 ? story() : '').toEqual([]);
    expect(report.faults).toBe(faults);
    expect(report.jobs).toBeGreaterThan(0);
  },
);
