import { expect, test } from 'vitest';
import { type FaultKind, lanesOf, planFault, shares } from './plan.js';

const everything = { queue: 'redis', storage: 's3', smallDisk: true, fakeTime: '/lib/faketime' } as const;
/** The kinds of a run of so many faults, when all lanes of a class go at one speed. */
function kindsOf(faults: number, seed: number, surroundings: Parameters<typeof lanesOf>[0]): Map<FaultKind, number> {
  const counts = new Map<FaultKind, number>();
  const lanes = lanesOf(surroundings, 2);
  for (const lane of lanes) {
    const each = (faults * shares[lane.class]) / lanes.filter((other) => other.class === lane.class).length;
    for (let index = 0; index < Math.floor(each); index++) {
      const { kind } = planFault(seed, lane, index);
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
    }
  }
  return counts;
}

test('150 faults hold every kind, whatever the seed', () => {
  const all = new Set(lanesOf(everything, 2).flatMap(({ deck }) => deck));
  expect(all.size).toBe(32);
  for (const seed of [1, 2, 3, 4, 5]) expect(new Set(kindsOf(150, seed, everything).keys())).toEqual(all);
});

test('a fault follows from seed, lane and number alone', () => {
  const [lane] = lanesOf(everything, 1);
  if (!lane) throw new Error('there is no lane');
  const run = (seed: number) => Array.from({ length: 40 }, (_, index) => planFault(seed, lane, index));
  expect(run(7)).toEqual(run(7));
  expect(run(7).map(({ kind }) => kind)).not.toEqual(run(8).map(({ kind }) => kind));
});

test('what is not there is not broken', () => {
  const kinds = [...kindsOf(300, 1, { queue: 'postgres', storage: 'fs', smallDisk: false, fakeTime: null }).keys()];
  expect(kinds.filter((kind) => /redis|s3|disk|clock/.test(kind))).toEqual([]);
});

test('only the kinds that are asked for', () => {
  const lanes = lanesOf(everything, 2, ['kill.worker', 'cut.s3']);
  expect(lanes.map(({ name, deck }) => [name, new Set(deck)])).toEqual([
    ['way to s3', new Set(['cut.s3'])],
    ['worker 0', new Set(['kill.worker'])],
    ['worker 1', new Set(['kill.worker'])],
  ]);
});
