import { expect, test } from 'vitest';
import { type ControlDeps, controlRound, startControlLoop } from './control-loop.js';

/** Ports as plain objects: what is tested is the order and what a failing part does to the others. */
function ports(broken: string | null = null) {
  const calls: string[] = [];
  const call = async <T>(name: string, value: T): Promise<T> => {
    calls.push(name);
    if (name === broken) throw new Error(`${name} is broken`);
    return value;
  };
  const warnings: string[] = [];
  const never = async (): Promise<never> => {
    throw new Error('not used here');
  };
  const deps: ControlDeps = {
    dispatch: {
      asLeader: async (work) => {
        await call('asLeader', null);
        await work();
        return true;
      },
      requeueLost: () => call('requeueLost', 1),
      release: () => call('release', { released: 0, preempted: 0 }),
      waiting: () => call('waiting', []),
      withoutResultFile: () => call('withoutResultFile', []),
      setResultFile: never,
    },
    queue: { wake: never, repair: () => call('repair', 0), ready: never, close: never },
    tidy: () => call('tidy', undefined),
    files: { insert: never, get: never, list: never, delete: never, findings: never, expired: never },
    jobs: { metrics: never },
    objects: {
      put: never,
      putIfAbsent: never,
      get: never,
      getBytes: never,
      head: never,
      list: () => (async function* () {})(),
      delete: never,
      now: never,
      sweepUnfinished: never,
    },
    log: { warn: (fields) => warnings.push(String((fields as { part?: string }).part)), info: () => undefined },
  };
  return { deps, calls, warnings };
}

test('one failing part does not keep the others from their work', async () => {
  for (const part of ['requeueLost', 'release', 'repair', 'waiting', 'withoutResultFile', 'tidy']) {
    const { deps, calls, warnings } = ports(part);
    await controlRound(deps);
    expect(calls).toEqual(['requeueLost', 'withoutResultFile', 'tidy', 'release', 'repair', 'waiting']);
    expect(warnings).toHaveLength(1);
  }
});

test('a nudge starts a round at once; stop waits for the round in progress', async () => {
  const { deps, calls } = ports();
  let enter = () => {};
  let leave = () => {};
  const rounds = { count: 0 };
  const entered = () => new Promise<void>((next) => (enter = next));
  const loop = startControlLoop(
    {
      ...deps,
      dispatch: {
        ...deps.dispatch,
        waiting: async () => {
          rounds.count += 1;
          const held = new Promise<void>((next) => (leave = next));
          enter();
          await held;
          return [];
        },
      },
    },
    { everyMs: 3_600_000 },
  );
  await entered();
  // Nudged while a round runs: there will be another one, for what it did not see.
  loop.nudge();
  const second = entered();
  leave();
  await second;
  let stopped = false;
  const stopping = loop.stop().then(() => {
    stopped = true;
  });
  await new Promise((next) => setImmediate(next));
  expect(stopped).toBe(false);
  leave();
  await stopping;
  expect(rounds.count).toBe(2);
  expect(calls.filter((c) => c === 'asLeader')).toHaveLength(2);
});

test('a round that fails as a whole is tried again', async () => {
  const { deps } = ports('asLeader');
  let warned = () => {};
  const twice = new Promise<void>((next) => {
    let n = 0;
    warned = () => {
      n += 1;
      if (n === 2) next();
    };
  });
  const loop = startControlLoop({ ...deps, log: { ...deps.log, warn: () => warned() } }, { everyMs: 1 });
  await twice;
  await loop.stop();
});
