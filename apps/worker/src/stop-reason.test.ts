import { expect, test } from 'vitest';
import { replaces, type Stop } from './stop-reason.js';

const mild: readonly Stop[] = ['pause', 'preempt', 'expired', 'handback'];
const hard: readonly Stop[] = ['fenced', 'lost', 'broken'];
const all: readonly Stop[] = ['cancel', ...mild, ...hard];

test('the first reason counts, whatever it is, and is not given twice', () => {
  for (const reason of all) expect([replaces(reason, null), replaces(reason, reason)]).toEqual([true, false]);
});
test('a cancel replaces the milder ones, and none of them a cancel or one another', () => {
  for (const before of mild) expect(all.filter((reason) => replaces(reason, before))).toEqual(['cancel', ...hard]);
  expect(all.filter((reason) => replaces(reason, 'cancel'))).toEqual(hard);
});
test('nothing replaces a hard one', () => {
  for (const before of hard) expect(all.filter((reason) => replaces(reason, before))).toEqual([]);
});
