/**
 * Which waiting jobs go to the workers next. Pure. Only as many are let go as there are free places, and one more so that no worker waits for the next
 * round; the rest stays here, where the order can still change. Projects take turns by the seconds of device time they had in the last hour (weighted
 * deficit), then priority, then age. A hundred jobs of one project cost another one turn, not a hundred.
 */
import type { JobId, ProjectId } from '@rowsmith/contracts';

interface Placed {
  readonly jobId: JobId;
  readonly projectId: ProjectId;
  /** null: not bound to one yet. */
  readonly deviceClass: string | null;
  /** Kind of device that was asked for, while it is not bound to a class: classes of that name, or that begin with it and a hyphen. */
  readonly device?: string | undefined;
  /** 0 to 100, higher first. */
  readonly priority: number;
}
export interface FleetState {
  /** Places by class of living workers. */
  readonly classes: readonly { readonly deviceClass: string; readonly slots: number }[];
  readonly running: readonly (Placed & { readonly ranMs: number; readonly preempting: boolean })[];
  /** Let go already, not begun. */
  readonly released: readonly Placed[];
  /** Oldest first. */
  readonly queued: readonly Placed[];
  readonly projects: readonly {
    readonly projectId: ProjectId;
    readonly weight: number;
    readonly secondsLastHour: number;
    /** Jobs it may run at a time; null or left out: no limit. */
    readonly maxRunning?: number | null;
  }[];
}
export interface DispatchPlan {
  /** In this order. */
  readonly release: readonly JobId[];
  readonly preempt: readonly JobId[];
}

/** Whether workers of a class have the kind of device; 'auto' or none: any has. */
export const isOfKind = (deviceClass: string, device = 'auto') =>
  device === 'auto' || deviceClass === device || deviceClass.startsWith(`${device}-`);

/** What a job is assumed to cost while nobody knows: keeps one project from taking every place of a round. */
const assumedSeconds = 60;
/** An attempt that has just begun is left alone: stopping costs it the loading of its model. */
const leastRunMs = 60_000;
const anyClass = '';

export function planDispatch(state: FleetState): DispatchPlan {
  const places = new Places(state);
  const shares = new Shares(state);
  const caps = new Caps(state);
  const waiting = [...state.queued];
  const release: JobId[] = [];
  for (;;) {
    const next = best(
      waiting.filter((job) => places.roomFor(job) && caps.allow(job)),
      shares,
    );
    if (next === null) break;
    waiting.splice(waiting.indexOf(next), 1);
    places.take(next);
    caps.take(next);
    shares.charge(next.projectId);
    release.push(next.jobId);
  }
  const preempt: JobId[] = [];
  for (const deviceClass of new Set(state.running.map((job) => job.deviceClass ?? anyClass))) {
    const asked = preemptionIn(
      deviceClass,
      state,
      places,
      shares,
      waiting.filter((job) => caps.allow(job)),
      release,
    );
    if (asked === null) continue;
    preempt.push(asked.victim);
    // One in front of what was let go before: the queue hands out by priority too.
    if (asked.release !== null) release.push(asked.release);
  }
  return { release, preempt };
}

/** By turn of the project, then priority, then age. */
function best(jobs: readonly Placed[], shares: Shares): Placed | null {
  let found: Placed | null = null;
  for (const job of jobs) {
    const more = found === null ? -1 : shares.used(job.projectId) - shares.used(found.projectId);
    if (more < 0 || (more === 0 && found !== null && job.priority > found.priority)) found = job;
  }
  return found;
}

function preemptionIn(
  deviceClass: string,
  state: FleetState,
  places: Places,
  shares: Shares,
  waiting: readonly Placed[],
  justReleased: readonly JobId[],
): { readonly victim: JobId; readonly release: JobId | null } | null {
  const running = state.running.filter((job) => (job.deviceClass ?? anyClass) === deviceClass);
  if (places.free(deviceClass) > 0 || running.some(({ preempting }) => preempting)) return null;
  const fits = (job: Placed) => (job.deviceClass === null ? isOfKind(deviceClass, job.device) : job.deviceClass === deviceClass);
  const gone = state.queued.filter(({ jobId }) => justReleased.includes(jobId));
  const candidates = [...state.released, ...gone, ...waiting].filter(fits).sort((a, b) => b.priority - a.priority);
  const [first] = candidates;
  if (first === undefined) return null;
  const held = (projectId: ProjectId) => running.filter((job) => job.projectId === projectId).length;
  const victims = running
    .filter(({ priority, ranMs }) => priority < first.priority && ranMs >= leastRunMs)
    // Another project's work is taken only from what it holds above its share, or two projects would stop each other in turn.
    .filter(
      ({ projectId }) =>
        projectId === first.projectId ||
        held(projectId) / shares.weight(projectId) > (held(first.projectId) + 1) / shares.weight(first.projectId),
    )
    .sort((a, b) => a.priority - b.priority || a.ranMs - b.ranMs);
  const [victim] = victims;
  if (victim === undefined) return null;
  return { victim: victim.jobId, release: waiting.includes(first) ? first.jobId : null };
}

class Places {
  readonly #free = new Map<string, number>();
  /** Free places and one, less what was let go already. */
  readonly #room = new Map<string, number>();

  constructor({ classes, running, released, queued }: FleetState) {
    const slots = new Map(classes.map((c) => [c.deviceClass, c.slots]));
    // A class without a living worker gets one job: what starts workers on demand looks at what waits.
    for (const { deviceClass, device = 'auto' } of [...running, ...released, ...queued]) {
      if (deviceClass !== null && !slots.has(deviceClass)) slots.set(deviceClass, 0);
      // A kind of which no class lives is a class by that name.
      if (deviceClass === null && device !== 'auto' && ![...slots.keys()].some((name) => isOfKind(name, device))) slots.set(device, 0);
    }
    if (slots.size === 0) slots.set(anyClass, 0);
    for (const [name, count] of slots) {
      const busy = running.filter((job) => job.deviceClass === name).length;
      this.#free.set(name, Math.max(0, count - busy));
      this.#room.set(name, Math.max(0, count - busy) + 1);
    }
    for (const job of released) this.take(job);
  }

  free(deviceClass: string): number {
    return this.#free.get(deviceClass) ?? 0;
  }
  roomFor(job: Placed): boolean {
    return (this.#room.get(this.#classFor(job)) ?? 0) > 0;
  }
  take(job: Placed): void {
    const name = this.#classFor(job);
    this.#room.set(name, (this.#room.get(name) ?? 0) - 1);
  }
  /** An unbound job goes where most is free. */
  #classFor({ deviceClass, device }: Placed): string {
    if (deviceClass !== null) return deviceClass;
    let most = anyClass;
    for (const [name, room] of this.#room)
      if (isOfKind(name, device) && (!this.#room.has(most) || room > (this.#room.get(most) ?? 0))) most = name;
    return most;
  }
}

/** Jobs that run or were let go, against what each project may run at a time. */
class Caps {
  readonly #left = new Map<ProjectId, number>();

  constructor({ projects, running, released }: FleetState) {
    for (const { projectId, maxRunning } of projects) if (typeof maxRunning === 'number') this.#left.set(projectId, maxRunning);
    for (const job of [...running, ...released]) this.take(job);
  }
  allow({ projectId }: Placed): boolean {
    return (this.#left.get(projectId) ?? 1) > 0;
  }
  take({ projectId }: Placed): void {
    const left = this.#left.get(projectId);
    if (left !== undefined) this.#left.set(projectId, left - 1);
  }
}

class Shares {
  readonly #used = new Map<ProjectId, number>();
  readonly #weights = new Map<ProjectId, number>();

  constructor({ projects, running, released }: FleetState) {
    for (const { projectId, weight, secondsLastHour } of projects) {
      this.#weights.set(projectId, Math.max(1, weight));
      this.#used.set(projectId, secondsLastHour);
    }
    for (const { projectId } of [...running, ...released]) this.charge(projectId);
  }

  weight(projectId: ProjectId): number {
    return this.#weights.get(projectId) ?? 1;
  }
  used(projectId: ProjectId): number {
    return (this.#used.get(projectId) ?? 0) / this.weight(projectId);
  }
  charge(projectId: ProjectId): void {
    this.#used.set(projectId, (this.#used.get(projectId) ?? 0) + assumedSeconds);
  }
}
