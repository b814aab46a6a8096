/**
 * Removes `scores/` that no job names any more. Which scores a job was chosen by stands in an object of the job (`jobs/<job>/scores.json`), so the references are
 * objects too: all of them are read after the scores were listed, and only when there are old scores at all.
 */
import { parseAs, ScoresReference, scoresKeyOf } from '@rowsmith/contracts';
import type { ObjectStore } from '@rowsmith/core';

type Objects = Pick<ObjectStore, 'list' | 'delete' | 'getBytes'>;
interface Scores {
  newest: Date;
  readonly keys: string[];
}

const folderOf = (key: string): string => key.slice(0, key.lastIndexOf('/') + 1);
const isReference = (key: string): boolean => key === scoresKeyOf(key.split('/')[1] ?? '');

/**
 * Scores whose newest object was modified before `before` (milliseconds since 1970) and that no job names. A trainer that takes stored scores writes their manifest
 * again first, so that they are young while its reference is on its way. Throws at a reference that cannot be read: what it names is unknown.
 */
export async function collectScores(objects: Objects, before: number, signal?: AbortSignal): Promise<{ looked: number; removed: number }> {
  const { folders, looked } = await scoresIn(objects, 'scores', signal);
  const old = new Map([...folders].filter(([, { newest }]) => newest.getTime() <= before));
  if (old.size === 0) return { looked, removed: 0 };
  for await (const { key } of objects.list('jobs')) {
    signal?.throwIfAborted();
    if (!isReference(key)) continue;
    const bytes = await objects.getBytes(key);
    // Collected since it was listed.
    if (bytes === null) continue;
    const { manifest } = parseAs(ScoresReference, JSON.parse(Buffer.from(bytes).toString('utf8')), `reference ${key}`);
    old.delete(folderOf(manifest.key));
  }
  let removed = 0;
  for (const folder of old.keys()) {
    signal?.throwIfAborted();
    // Looked at again: somebody may have taken them meanwhile.
    const now = (await scoresIn(objects, folder.slice(0, -1), signal)).folders.get(folder);
    if (now === undefined || now.newest.getTime() > before) continue;
    // The manifest first: without it the scores do not exist.
    const manifestFirst = [...now.keys].sort((a, b) => Number(b.endsWith('/manifest.json')) - Number(a.endsWith('/manifest.json')));
    for (const key of manifestFirst) await objects.delete(key);
    removed += now.keys.length;
  }
  return { looked, removed };
}

async function scoresIn(objects: Objects, prefix: string, signal?: AbortSignal): Promise<{ folders: Map<string, Scores>; looked: number }> {
  const folders = new Map<string, Scores>();
  let looked = 0;
  for await (const { key, modifiedAt } of objects.list(prefix)) {
    signal?.throwIfAborted();
    looked += 1;
    const known = folders.get(folderOf(key));
    if (known === undefined) folders.set(folderOf(key), { newest: modifiedAt, keys: [key] });
    else {
      known.keys.push(key);
      if (modifiedAt > known.newest) known.newest = modifiedAt;
    }
  }
  return { folders, looked };
}
