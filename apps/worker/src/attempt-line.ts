/** The one log line of an attempt. Pure. */
import type { AttemptFailure } from '@rowsmith/core';
import type { TrainerExit } from './trainer-process.js';

/** fenced: a newer attempt owns the job. lost: the database was away too long; the job is taken up again by whoever finds it silent. */
export type AttemptOutcome = 'succeeded' | 'retry' | 'failed' | 'cancelled' | 'handback' | 'preempted' | 'paused' | 'fenced' | 'lost';
export const wentWell = (outcome: AttemptOutcome): boolean =>
  ['succeeded', 'cancelled', 'handback', 'preempted', 'paused'].includes(outcome);

export interface AttemptFacts {
  readonly jobId: string;
  readonly epoch: number;
  readonly outcome: AttemptOutcome;
  readonly failure: AttemptFailure | null;
  readonly stop: string | null;
  readonly step: number;
  readonly totalSteps: number;
  /** Monotonic milliseconds, here and in `phases`. */
  readonly beganAt: number;
  readonly endedAt: number;
  /** In order; one may come again. */
  readonly phases: readonly { readonly name: string; readonly at: number }[];
  readonly exit: TrainerExit;
}

/** On failure with the end of what the trainer printed: it may hold paths, so it goes into the log and nowhere else. */
export function attemptLine({ failure, beganAt, endedAt, phases, exit, ...facts }: AttemptFacts): Record<string, unknown> {
  const phaseMs: Record<string, number> = {};
  phases.forEach(({ name, at }, i) => {
    const ms = (phases[i + 1]?.at ?? endedAt) - at;
    phaseMs[name] = Math.round((phaseMs[name] ?? 0) + ms);
  });
  const trouble = wentWell(facts.outcome)
    ? {}
    : { errorClass: failure?.class, errorCode: failure?.code, reason: failure?.message, trainerOutput: exit.output };
  return {
    op: 'attempt',
    ...facts,
    durationMs: Math.round(endedAt - beganAt),
    phaseMs,
    exitCode: exit.code,
    exitSignal: exit.signal,
    ...trouble,
  };
}
