/** Which faults a run makes, in which order: decided by the seed alone. */
import { seeded } from './seeded.js';

export interface ChaosSurroundings {
  readonly queue: 'redis' | 'postgres';
  readonly storage: 'fs' | 's3';
  /** The disk can be filled: it is a small one of its own. */
  readonly smallDisk: boolean;
  /** Path of libfaketime, or null: clocks stay right. */
  readonly fakeTime: string | null;
}

export type FaultKind =
  | 'kill.api'
  | 'kill.worker'
  | 'kill.trainer'
  | 'kill.postgres'
  | 'kill.redis'
  | 'kill.s3'
  | 'term.worker'
  | 'zombie.worker'
  | 'zombie.worker-and-trainer'
  | 'stop.trainer'
  | 'stop.api'
  | 'flip.checkpoint'
  | 'cut.postgres'
  | 'cut.redis'
  | 'cut.s3'
  | 'delay.postgres'
  | 'delay.redis'
  | 'delay.s3'
  | 'silence.postgres'
  | 'silence.redis'
  | 'silence.s3'
  | 'refuse.s3'
  | 'fill.disk'
  | 'wipe.queue'
  | 'clock.worker';

export interface Fault {
  readonly seed: number;
  readonly index: number;
  readonly kind: FaultKind;
  /** Which of several: worker number, or which byte of a file, modulo what there is. */
  readonly target: number;
  /** Between the blow and its end, where there is one; silence ends by itself. */
  readonly holdMs: number;
  /** Before the next one. */
  readonly gapMs: number;
  /** The next one does not wait for the end of this one. */
  readonly overlap: boolean;
  /** A worker or trainer is hit only after its attempt has saved something: in the middle of training, not while it starts. */
  readonly deep: boolean;
}

/** Longer than the silence after which a running attempt counts as lost, plus a round of the control loop. */
export const zombieHoldMs = [8_000, 11_000] as const;

/** How often each kind comes up, and how long it lasts at least and at most, in milliseconds. */
function kinds({ queue, storage, smallDisk, fakeTime }: ChaosSurroundings): Partial<Record<FaultKind, readonly [number, number, number]>> {
  return {
    'kill.api': [10, 0, 1_000],
    'kill.worker': [18, 0, 0],
    'kill.trainer': [18, 0, 0],
    'kill.postgres': [7, 100, 3_000],
    'term.worker': [4, 0, 0],
    'zombie.worker': [3, ...zombieHoldMs],
    'zombie.worker-and-trainer': [2, ...zombieHoldMs],
    'stop.trainer': [3, 500, 2_500],
    'stop.api': [3, 500, 3_000],
    'flip.checkpoint': [8, 0, 0],
    'cut.postgres': [5, 0, 0],
    'delay.postgres': [3, 1_000, 3_000],
    'silence.postgres': [3, 500, 3_000],
    'wipe.queue': [4, 0, 0],
    ...(queue === 'redis'
      ? { 'kill.redis': [5, 100, 3_000], 'cut.redis': [4, 0, 0], 'delay.redis': [2, 1_000, 3_000], 'silence.redis': [2, 500, 3_000] }
      : {}),
    ...(storage === 's3'
      ? {
          ...{ 'kill.s3': [4, 100, 1_500], 'cut.s3': [4, 0, 0], 'delay.s3': [2, 1_000, 3_000], 'silence.s3': [2, 500, 3_000] },
          'refuse.s3': [6, 2_000, 6_000],
        }
      : {}),
    ...(smallDisk ? { 'fill.disk': [4, 500, 3_000] } : {}),
    ...(fakeTime === null ? {} : { 'clock.worker': [2, 6_000, 9_000] }),
  };
}

export function planFault(seed: number, index: number, surroundings: ChaosSurroundings): Fault {
  const draws = seeded('fault', seed, index);
  const possible = kinds(surroundings);
  const weights = Object.fromEntries(Object.entries(possible).map(([kind, [weight]]) => [kind, weight])) as Record<FaultKind, number>;
  const kind = draws.weighted(weights);
  const [, low, high] = possible[kind] ?? [0, 0, 0];
  return {
    ...{ seed, index, kind },
    target: draws.between(0, 2 ** 20),
    holdMs: draws.between(low, high),
    gapMs: draws.between(0, 1_200),
    overlap: draws.number() < 0.5,
    deep: draws.number() < 0.5,
  };
}
