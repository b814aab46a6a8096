import type { JobId, ProjectId } from '@rowsmith/contracts';
import { expect, test } from 'vitest';
import { type FleetState, planDispatch } from './fair-share.js';

// Ids are checked at the edge; here they only have to differ.
const job = (id: string) => id as JobId;
const project = (id: string) => id as ProjectId;
const waiting = (id: string, of: string, priority = 50, deviceClass: string | null = null) => ({
  ...{ jobId: job(id), projectId: project(of), deviceClass, priority },
});
const running = (id: string, of: string, priority = 50, ranMs = 3_600_000, deviceClass = 'cpu') => ({
  ...waiting(id, of, priority, deviceClass),
  ...{ ranMs, preempting: false },
});
const fleet = (change: Partial<FleetState>): FleetState => ({
  ...{ classes: [{ deviceClass: 'cpu', slots: 1 }], running: [], released: [], queued: [], projects: [] },
  ...change,
});

test('as many are let go as places are free, and one more', () => {
  const queued = ['a', 'b', 'c', 'd', 'e'].map((id) => waiting(id, 'p'));
  const slots = (count: number) => [{ deviceClass: 'cpu', slots: count }];
  expect(planDispatch(fleet({ queued, classes: slots(3) })).release).toEqual(['a', 'b', 'c', 'd']);
  expect(planDispatch(fleet({ queued, classes: slots(3), running: [running('r', 'p')], released: [waiting('z', 'p')] })).release).toEqual([
    'a',
    'b',
  ]);
  // Nobody lives, or more runs than places are known: one, for whoever comes.
  expect(planDispatch(fleet({ queued, classes: [] })).release).toEqual(['a']);
  expect(planDispatch(fleet({ queued, classes: [], running: [running('r', 'p')] })).release).toEqual(['a']);
});

test('a job goes to its device class only; an unbound one where most is free', () => {
  const classes = [
    { deviceClass: 'cpu', slots: 1 },
    { deviceClass: 'cuda', slots: 2 },
  ];
  const queued = [waiting('any', 'p'), ...['g1', 'g2', 'g3'].map((id) => waiting(id, 'p', 50, 'cuda')), waiting('c', 'p', 50, 'cpu')];
  // cuda has room for three: `any` and two of its own; cpu for two.
  expect(planDispatch(fleet({ classes, queued })).release).toEqual(['any', 'g1', 'g2', 'c']);
});

test('a job for a kind of device goes to a class of that kind, and waits for one if none lives', () => {
  const classes = [
    { deviceClass: 'cpu', slots: 4 },
    { deviceClass: 'cuda-24g', slots: 0 },
    { deviceClass: 'cudax', slots: 4 },
  ];
  const kind = (id: string, device: string) => ({ ...waiting(id, 'p'), device });
  // One to come for the class that has no place; `cudax` only begins alike.
  expect(planDispatch(fleet({ classes, queued: [kind('g1', 'cuda'), kind('g2', 'cuda'), kind('c', 'cpu')] })).release).toEqual(['g1', 'c']);
  const cpu = [{ deviceClass: 'cpu', slots: 1 }];
  expect(planDispatch(fleet({ classes: cpu, queued: [kind('g1', 'cuda'), kind('g2', 'cuda')] })).release).toEqual(['g1']);
  // Nobody on a CPU makes room for a job that needs a GPU.
  const urgent = { ...kind('g', 'cuda'), priority: 90 };
  expect(planDispatch(fleet({ classes: cpu, running: [running('r', 'p')], queued: [urgent] })).preempt).toEqual([]);
});

test('whose project had less device time goes first, in the proportion of the weights; then priority, then age', () => {
  const projects = [
    { projectId: project('big'), weight: 3, secondsLastHour: 900 },
    { projectId: project('small'), weight: 1, secondsLastHour: 400 },
  ];
  const queued = [waiting('s', 'small'), waiting('b1', 'big'), waiting('b2', 'big', 90)];
  // 900 / 3 < 400 / 1. A charge of 60 s / 3 leaves it in front.
  expect(planDispatch(fleet({ queued, projects, classes: [{ deviceClass: 'cpu', slots: 2 }] })).release).toEqual(['b2', 'b1', 's']);
});

test('500 jobs of one project beside 5 of each of nine: nobody of the nine waits longer than two jobs last, and shares are even', () => {
  const slots = 10;
  const seconds = 60;
  const queue = Array.from({ length: 500 }, (_, i) => waiting(`big-${i}`, 'big'));
  for (let p = 0; p < 9; p++) for (let i = 0; i < 5; i++) queue.push(waiting(`p${p}-${i}`, `p${p}`));
  const used = new Map<string, number>();
  let inQueue = queue;
  let released: typeof queue = [];
  let active: { job: (typeof queue)[number]; begins: number }[] = [];
  const waits = new Map<string, number>();
  for (let now = 0; [...waits.keys()].filter((id) => id.startsWith('p')).length < 45; now += 10) {
    active = active.filter(({ begins }) => begins + seconds > now);
    const { release } = planDispatch(
      fleet({
        classes: [{ deviceClass: 'cpu', slots }],
        running: active.map(({ job: r, begins }) => ({ ...r, deviceClass: 'cpu', ranMs: (now - begins) * 1000, preempting: false })),
        released,
        queued: inQueue,
        projects: [...used].map(([id, secondsLastHour]) => ({ projectId: project(id), weight: 1, secondsLastHour })),
      }),
    );
    released = [...released, ...release.map((id) => inQueue.find((w) => w.jobId === id)).filter((w) => w !== undefined)];
    inQueue = inQueue.filter((w) => !release.includes(w.jobId));
    while (active.length < slots && released.length > 0) {
      const [next, ...rest] = released;
      released = rest;
      if (!next) break;
      active.push({ job: next, begins: now });
      waits.set(next.jobId, now);
      used.set(next.projectId, (used.get(next.projectId) ?? 0) + seconds);
    }
  }
  // The first job of every small project begins within two lengths of a job, though 500 were there before it.
  for (let p = 0; p < 9; p++) {
    const first = Math.min(...Array.from({ length: 5 }, (_, i) => waits.get(`p${p}-${i}`) ?? Number.POSITIVE_INFINITY));
    expect(first).toBeLessThanOrEqual(2 * seconds);
  }
  // Jain's index (sum x)^2 / (n sum x^2) of the jobs each of the ten had begun while all of them had some waiting.
  const contended = Math.max(...[...waits].filter(([id]) => id.endsWith('-3') && id.startsWith('p')).map(([, at]) => at));
  const shares = ['big', ...Array.from({ length: 9 }, (_, p) => `p${p}`)].map(
    (name) => [...waits].filter(([id, at]) => id.startsWith(`${name}-`) && at <= contended).length,
  );
  const sum = shares.reduce((a, b) => a + b, 0);
  expect(sum ** 2 / (shares.length * shares.reduce((a, b) => a + b * b, 0))).toBeGreaterThanOrEqual(0.95);
});

test('a job of higher priority stops the lowest of its project, once, and only when no place is free', () => {
  const low = [running('low', 'p', 10), running('lower', 'p', 5)];
  const state = fleet({ classes: [{ deviceClass: 'cpu', slots: 2 }], running: low, queued: [waiting('urgent', 'p', 90)] });
  expect(planDispatch(state)).toEqual({ release: ['urgent'], preempt: ['lower'] });
  expect(planDispatch({ ...state, classes: [{ deviceClass: 'cpu', slots: 3 }] }).preempt).toEqual([]);
  const asked = low.map((r) => ({ ...r, preempting: r.jobId === 'lower' }));
  expect(planDispatch({ ...state, running: asked }).preempt).toEqual([]);
  // Equal priority stops nobody, and an attempt that has just begun is left alone.
  expect(planDispatch({ ...state, queued: [waiting('same', 'p', 5)] }).preempt).toEqual([]);
  expect(planDispatch({ ...state, running: [running('young', 'p', 5, 1_000), running('other', 'p', 90)] }).preempt).toEqual([]);
});

test('an urgent job passes what was let go before it', () => {
  const state = fleet({ running: [running('low', 'p', 10)], released: [waiting('next', 'p', 50)], queued: [waiting('urgent', 'p', 90)] });
  expect(planDispatch(state)).toEqual({ release: ['urgent'], preempt: ['low'] });
});

test("another project's job is stopped only for what it holds above its share", () => {
  const one = fleet({ running: [running('a1', 'a', 10)], queued: [waiting('urgent', 'b', 90)] });
  expect(planDispatch(one).preempt).toEqual([]);
  const two = fleet({
    classes: [{ deviceClass: 'cpu', slots: 2 }],
    running: [running('a1', 'a', 10), running('a2', 'a', 10, 7_200_000)],
    queued: [waiting('urgent', 'b', 90)],
  });
  expect(planDispatch(two).preempt).toEqual(['a1']);
});

test('a project runs no more jobs at a time than it may, whatever is free', () => {
  const classes = [{ deviceClass: 'cpu', slots: 9 }];
  const capped = (maxRunning: number | null) => [{ projectId: project('p'), weight: 1, secondsLastHour: 0, maxRunning }];
  const queued = ['a', 'b', 'c'].map((id) => waiting(id, 'p'));
  const plan = (maxRunning: number | null, more: Partial<FleetState> = {}) =>
    planDispatch(fleet({ classes, queued: [...queued, waiting('z', 'q')], projects: capped(maxRunning), ...more })).release;
  expect(plan(null)).toEqual(['a', 'z', 'b', 'c']);
  expect(plan(2)).toEqual(['a', 'z', 'b']);
  // What runs and what was let go counts.
  expect(plan(2, { running: [running('r', 'p')] })).toEqual(['z', 'a']);
  expect(plan(2, { running: [running('r', 'p')], released: [waiting('s', 'p')] })).toEqual(['z']);
  expect(plan(0)).toEqual(['z']);
  // Nor does its urgent job push another one out.
  const full = { classes: [{ deviceClass: 'cpu', slots: 1 }], running: [running('r', 'p', 10)], queued: [waiting('u', 'p', 90)] };
  expect(planDispatch(fleet({ ...full, projects: capped(1) })).preempt).toEqual([]);
  expect(planDispatch(fleet({ ...full, projects: capped(2) })).preempt).toEqual(['r']);
});
