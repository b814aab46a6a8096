import { describe, expect, test } from 'vitest';
import type { JobRows } from './ledger.js';
import { judgeJob } from './verdict.js';

const files = { 'adapter_model.safetensors': 'aa', 'rows.safetensors': 'bb' };
const types = [
  ['job.created', ''],
  ['job.running', ''],
  ['metrics', 'Step 1/2, training loss=3.1'],
  ['attempt.lost', ''],
  ['job.running', ''],
  ['metrics', 'Step 2/2, training loss=3.0'],
  ['adapter.created', ''],
  ['job.succeeded', ''],
] as const;
const good: JobRows = {
  ...{ status: 'succeeded', errorCode: null, errorMessage: null, adapterManifestKey: 'jobs/j/e2/adapter/manifest.json' },
  attempts: [
    { epoch: 1, outcome: 'lost', errorCode: 'worker_lost', startedAt: 1 },
    { epoch: 2, outcome: 'succeeded', errorCode: null, startedAt: 2 },
  ],
  events: types.map(([type, message], i) => ({ seq: i + 1, type, message })),
  trainedSteps: [1, 2],
};
const seqs = good.events.map(({ seq }) => seq);
const judge = (rows: Partial<JobRows> = {}, got: Record<string, string> = files, heard: readonly number[] = seqs) =>
  judgeJob('j', { ...good, ...rows }, got, heard, { steps: 2, files }).map(({ rule }) => rule);
const [, , firstStep] = good.events;

test('a job that kept every rule', () => expect(judge()).toEqual([]));

describe('each rule is seen to be broken', () => {
  test.each([
    ['ends succeeded', judge({ status: 'cancelled' })],
    ['no attempt counts as poison wrongly', judge({ errorCode: 'poison' })],
    ['the bytes of the undisturbed run', judge({}, { ...files, 'rows.safetensors': 'bc' })],
    ['the bytes of the undisturbed run', judge({}, { 'rows.safetensors': 'bb' })],
    ['the bytes of the undisturbed run', judge({}, { ...files, more: 'cc' })],
    ['metrics of steps 1..n without gap or repeat', judge({ trainedSteps: [2] })],
    ['metrics of steps 1..n without gap or repeat', judge({ trainedSteps: [1, 1, 2] })],
    ['published once', judge({ events: good.events.filter(({ type }) => type !== 'adapter.created') })],
    ['one final event, the last one', judge({ events: [...good.events, { seq: 9, type: 'job.failed', message: '' }] })],
    ['one final event, the last one', judge({ events: [...good.events, { seq: 9, type: 'phase', message: '' }] })],
    ['each step is told once', judge({ events: good.events.flatMap((e) => (e === firstStep ? [e, e] : [e])) })],
    ['events numbered 1..n', judge({ events: good.events.slice(1) })],
    ['a client hears every event once', judge({}, files, [...seqs, 8])],
    ['a client hears every event once', judge({}, files, seqs.slice(1))],
    ['attempts numbered 1..n', judge({ attempts: good.attempts.slice(1) })],
    [
      'no attempt is left open',
      judge({ attempts: [{ epoch: 1, outcome: null, errorCode: null, startedAt: 1 }, ...good.attempts.slice(1)] }),
    ],
    ['one attempt succeeded, the last one', judge({ attempts: good.attempts.map((a) => ({ ...a, outcome: 'succeeded' })) })],
    ['the adapter is that of the attempt that succeeded', judge({ adapterManifestKey: 'jobs/j/e1/adapter/manifest.json' })],
  ])('%s', (rule, broken) => expect(broken).toContain(rule));
});
