/** The rules that a job must have kept, whatever was broken while it ran. Pure. */
import type { JobRows } from './ledger.js';

export interface Violation {
  readonly rule: string;
  /** What was seen. */
  readonly found: string;
  readonly job?: string;
}
export interface Expected {
  readonly steps: number;
  /** SHA-256 of the adapter's files that say nothing of the job, by name: of the run that nobody disturbed. */
  readonly files: Readonly<Record<string, string>>;
}

const final = ['job.succeeded', 'job.failed', 'job.cancelled'];

/** The first rule that the job broke comes first. */
export function judgeJob(
  job: string,
  rows: JobRows,
  files: Readonly<Record<string, string>>,
  clientSeqs: readonly number[],
  expected: Expected,
): Violation[] {
  const found: Violation[] = [];
  const rule = (name: string, kept: boolean, what: () => string) => {
    if (!kept) found.push({ rule: name, found: what(), job });
  };
  const { attempts, events, trainedSteps } = rows;
  rule('ends succeeded', rows.status === 'succeeded', () => `${rows.status} ${rows.errorCode ?? ''} ${rows.errorMessage ?? ''}`.trim());
  rule('no attempt counts as poison wrongly', rows.errorCode !== 'poison', () => attempts.map((a) => a.errorCode ?? a.outcome).join(' '));

  const names = new Set([...Object.keys(expected.files), ...Object.keys(files)]);
  const other = [...names].filter((name) => files[name] !== expected.files[name]);
  rule('the bytes of the undisturbed run', other.length === 0, () =>
    other.map((n) => `${n}: ${files[n]} for ${expected.files[n]}`).join('; '),
  );

  const whole = trainedSteps.length === expected.steps && trainedSteps.every((step, i) => step === i + 1);
  rule('metrics of steps 1..n without gap or repeat', whole, () => trainedSteps.join(' '));

  const published = events.filter(({ type }) => type === 'adapter.created').length;
  rule('published once', published === 1, () => `${published} adapter.created events`);
  const ends = events.filter(({ type }) => final.includes(type));
  rule('one final event, the last one', ends.length === 1 && final.includes(events.at(-1)?.type ?? ''), () =>
    events
      .slice(-4)
      .map(({ type }) => type)
      .join(' '),
  );
  const told = events.filter(({ type }) => type === 'metrics').length;
  const toldSteps = events.flatMap(({ type, message }) =>
    type === 'metrics' ? [/^Step (\d+)\/?\d*, training loss/.exec(message)?.[1]] : [],
  );
  const training = toldSteps.filter((step) => step !== undefined);
  rule(
    'each step is told once',
    new Set(training).size === training.length && training.length === expected.steps,
    () => `${told} metrics events: ${training.join(' ')}`,
  );
  rule(
    'events numbered 1..n',
    events.every(({ seq }, i) => seq === i + 1),
    () => events.map(({ seq }) => seq).join(' '),
  );
  const same = clientSeqs.length === events.length && clientSeqs.every((seq, i) => seq === events[i]?.seq);
  rule('a client hears every event once', same, () => `${clientSeqs.length} of ${events.length}`);

  rule(
    'attempts numbered 1..n',
    attempts.every(({ epoch }, i) => epoch === i + 1),
    () => attempts.map(({ epoch }) => epoch).join(' '),
  );
  const open = attempts.filter(({ outcome }) => outcome === null);
  rule('no attempt is left open', open.length === 0, () => open.map(({ epoch }) => epoch).join(' '));
  const winners = attempts.filter(({ outcome }) => outcome === 'succeeded').map(({ epoch }) => epoch);
  rule('one attempt succeeded, the last one', winners.length === 1 && winners[0] === attempts.length, () => winners.join(' '));
  const key = rows.adapterManifestKey ?? '';
  rule('the adapter is that of the attempt that succeeded', key.includes(`/e${winners[0]}/`), () => key);
  return found;
}
