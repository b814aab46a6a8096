/** Which faults a run makes: every component has a lane with a clock of its own, and what comes in a lane is decided by the seed alone. */
import { seeded } from './seeded.js';

export interface ChaosSurroundings {
  readonly queue: 'redis' | 'postgres';
  readonly storage: 'fs' | 's3';
  /** The disk can be filled: it is a small one of its own. */
  readonly smallDisk: boolean;
  /** Path of libfaketime, or null: clocks stay right. */
  readonly fakeTime: string | null;
}

export type WayName = 'postgres' | 'redis' | 's3' | 'api';
export type FaultKind =
  | `${'cut' | 'shut' | 'delay' | 'silence'}.${WayName}`
  | 'refuse.s3'
  | `kill.${'api' | 'postgres' | 'redis' | 's3' | 'worker' | 'trainer'}`
  | 'stop.api'
  | 'fill.disk'
  | 'wipe.queue'
  | 'term.worker'
  | 'zombie.worker'
  | 'zombie.worker-and-trainer'
  | 'stop.trainer'
  | 'flip.checkpoint'
  | 'clock.worker';

/** What a fault costs: `ways` between processes nothing, `servers` a start of the server, `attempts` a start of worker or trainer and of the job's attempt. */
export type FaultClass = 'ways' | 'servers' | 'attempts';
/** Of all faults of a run; the lanes of the faster classes wait for the slowest, so that all of them stay mixed. */
export const shares: Readonly<Record<FaultClass, number>> = { ways: 0.5, servers: 0.2, attempts: 0.3 };

export interface Lane {
  readonly name: string;
  readonly class: FaultClass;
  /** Worker number, in lanes of class `attempts`. */
  readonly worker: number;
  /** Every kind as often as it comes in one round of the lane. */
  readonly deck: readonly FaultKind[];
}
export interface Fault {
  readonly seed: number;
  readonly lane: string;
  readonly index: number;
  readonly kind: FaultKind;
  /** Which byte of a file, modulo what there is. */
  readonly target: number;
  /** Between the blow and its end, where there is one. */
  readonly holdMs: number;
  /** Before the next one of the lane. */
  readonly gapMs: number;
  /** A worker or trainer is hit only after its attempt has saved something: in the middle of training, not while it starts. */
  readonly deep: boolean;
}

/** Longer than the silence after which a running attempt counts as lost, plus a round of the control loop. */
export const zombieHoldMs = [8_000, 11_000] as const;

/** At least and at most, in milliseconds; of other kinds: no time at all. One fault in ten, zombies aside, lasts four times as long. */
const holds: Partial<Record<string, readonly [number, number]>> = {
  ...{ shut: [200, 1_500], delay: [500, 2_000], silence: [300, 1_800], refuse: [1_000, 3_000] },
  ...{ stop: [300, 2_000], fill: [300, 1_500], clock: [6_000, 9_000], zombie: zombieHoldMs },
  ...{ 'kill.postgres': [50, 1_500], 'kill.redis': [50, 1_500], 'kill.s3': [50, 1_000] },
};
const gaps: Readonly<Record<FaultClass, readonly [number, number]>> = { ways: [0, 2_000], servers: [0, 4_000], attempts: [0, 600] };

const times = (counts: Partial<Record<FaultKind, number>>): FaultKind[] =>
  (Object.entries(counts) as [FaultKind, number][]).flatMap(([kind, count]) => Array<FaultKind>(count).fill(kind));

/** `only`: other kinds are left out, and lanes without any. */
export function lanesOf(
  { queue, storage, smallDisk, fakeTime }: ChaosSurroundings,
  workers: number,
  only?: readonly FaultKind[],
): readonly Lane[] {
  const lane = (name: string, faultClass: FaultClass, counts: Partial<Record<FaultKind, number>>, worker = 0): Lane => ({
    ...{ name, class: faultClass, worker },
    deck: times(counts).filter((kind) => only === undefined || only.includes(kind)),
  });
  const way = (name: WayName, more: Partial<Record<FaultKind, number>> = {}) =>
    lane(`way to ${name}`, 'ways', { [`cut.${name}`]: 3, [`shut.${name}`]: 2, [`delay.${name}`]: 2, [`silence.${name}`]: 2, ...more });
  const [redis, s3] = [queue === 'redis', storage === 's3'];
  return [
    ...[way('postgres'), way('api'), ...(redis ? [way('redis')] : []), ...(s3 ? [way('s3', { 'refuse.s3': 5 })] : [])],
    lane('api', 'servers', { 'kill.api': 3, 'stop.api': 2 }),
    lane('postgres', 'servers', { 'kill.postgres': 1 }),
    ...(redis ? [lane('redis', 'servers', { 'kill.redis': 1 })] : []),
    ...(s3 ? [lane('s3', 'servers', { 'kill.s3': 1 })] : []),
    lane('disk and queue', 'servers', { 'wipe.queue': 1, ...(smallDisk ? { 'fill.disk': 1 } : {}) }),
    ...Array.from({ length: workers }, (_, worker) =>
      lane(
        `worker ${worker}`,
        'attempts',
        {
          ...{ 'kill.trainer': 6, 'kill.worker': 4, 'flip.checkpoint': 4, 'stop.trainer': 3, 'term.worker': 2 },
          ...{ 'zombie.worker': 1, 'zombie.worker-and-trainer': 1, ...(fakeTime === null ? {} : { 'clock.worker': 1 }) },
        },
        worker,
      ),
    ),
  ].filter(({ deck }) => deck.length > 0);
}

/** All that there are, wherever they can be made. */
export const faultKinds: readonly FaultKind[] = [
  ...new Set(lanesOf({ queue: 'redis', storage: 's3', smallDisk: true, fakeTime: '' }, 1).flatMap(({ deck }) => deck)),
];

/** The `index`-th fault of a lane: its deck is shuffled anew for every round, so that every kind comes up. */
export function planFault(seed: number, { name, class: faultClass, deck }: Lane, index: number): Fault {
  const round = Math.floor(index / deck.length);
  const kind = shuffled(deck, seed, name, round)[index % deck.length] as FaultKind;
  const draws = seeded('fault', seed, name, index);
  const [low, high] = holds[kind] ?? holds[kind.split('.')[0] ?? ''] ?? [0, 0];
  const holdMs = draws.between(low, high);
  const long = draws.number() < 0.1 && faultClass !== 'attempts';
  return {
    ...{ seed, lane: name, index, kind, holdMs: long ? 4 * holdMs : holdMs },
    ...{ target: draws.between(0, 2 ** 20), gapMs: draws.between(...gaps[faultClass]), deep: draws.number() < 0.5 },
  };
}

/** Fisher and Yates. */
function shuffled(deck: readonly FaultKind[], ...place: readonly (string | number)[]): FaultKind[] {
  const draws = seeded('deck', ...place);
  const cards = [...deck];
  for (let i = cards.length - 1; i > 0; i--) {
    const j = draws.between(0, i);
    [cards[i], cards[j]] = [cards[j] as FaultKind, cards[i] as FaultKind];
  }
  return cards;
}
