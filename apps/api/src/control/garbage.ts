/**
 * Removes objects that no row refers to: what crashed attempts, cut uploads and superseded epochs left behind. Written and read in the order that makes
 * it safe: an object is young while its row may still come (ages by the store's own clock), and rows are asked after the objects were listed.
 */
import type { ObjectStore, ReferenceStore } from '@rowsmith/core';
import { collectScores } from './collect-scores.js';
import type { ControlLog } from './control-loop.js';

export interface GarbageDeps {
  readonly objects: Pick<ObjectStore, 'list' | 'delete' | 'getBytes' | 'now' | 'sweepUnfinished'>;
  readonly references: ReferenceStore;
}
export interface GarbageOptions {
  /** Younger objects stay, whatever the tables say. */
  readonly graceMs?: number;
  readonly signal?: AbortSignal;
}
export interface Collected {
  readonly looked: number;
  readonly removed: number;
  readonly unfinished: number;
}

/** The only places where anything is ever removed, beside `scores/`, to which objects refer and not rows. */
const places = ['files', 'jobs', 'uploads'];
const batchSize = 500;
export const dayMs = 86_400_000;

export async function collectGarbage(
  { objects, references }: GarbageDeps,
  { graceMs = dayMs, signal }: GarbageOptions = {},
): Promise<Collected> {
  const before = (await objects.now()).getTime() - graceMs;
  let looked = 0;
  let removed = 0;
  let old: string[] = [];
  const removeUnneeded = async () => {
    for (const key of await references.unreferenced(old)) {
      signal?.throwIfAborted();
      await objects.delete(key);
      removed += 1;
    }
    old = [];
  };
  for (const place of places)
    for await (const { key, modifiedAt } of objects.list(place)) {
      signal?.throwIfAborted();
      looked += 1;
      if (modifiedAt.getTime() > before) continue;
      old.push(key);
      if (old.length === batchSize) await removeUnneeded();
    }
  await removeUnneeded();
  const scores = await collectScores(objects, before, signal);
  looked += scores.looked;
  removed += scores.removed;
  return { looked, removed, unfinished: await objects.sweepUnfinished(graceMs) };
}

/** Beside the control loop, not in it: listing a large store takes minutes. Only the leader collects. Returns the end of it. */
export function startGarbageCollection(
  deps: GarbageDeps & { readonly asLeader: (work: () => Promise<void>) => Promise<boolean>; readonly log: ControlLog },
  { everyMs = 3_600_000, graceMs = dayMs }: { readonly everyMs?: number; readonly graceMs?: number } = {},
): () => Promise<void> {
  const stop = new AbortController();
  let running: Promise<unknown> = Promise.resolve();
  let busy = false;
  const round = async () => {
    const collected = await collectGarbage(deps, { graceMs, signal: stop.signal });
    if (collected.removed + collected.unfinished > 0)
      deps.log.info({ op: 'garbage', ...collected }, 'objects that nothing needs were removed');
  };
  const timer = setInterval(() => {
    if (busy) return;
    busy = true;
    running = deps
      .asLeader(round)
      .catch((error: unknown) => {
        if (!stop.signal.aborted) deps.log.warn({ op: 'garbage', err: error }, 'the collection failed, tried again later');
      })
      .finally(() => {
        busy = false;
      });
  }, everyMs);
  timer.unref();
  return async () => {
    clearInterval(timer);
    stop.abort(new Error('the process stops'));
    await running;
  };
}
