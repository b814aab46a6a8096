import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { type PackedModelIndex, PackedModelIndex as PackedModelIndexSchema, parseAs } from '@rowsmith/contracts';
import { ModelError, quoted } from '../errors.js';

/** Default folder of packed models: $ROWSMITH_CACHE/models, else $XDG_CACHE_HOME/rowsmith/models, else ~/.cache/rowsmith/models. */
export function modelStore(env: Readonly<Record<string, string | undefined>>): string {
  const cache = env['ROWSMITH_CACHE'] || join(env['XDG_CACHE_HOME'] || join(env['HOME'] || homedir(), '.cache'), 'rowsmith');
  return join(cache, 'models');
}

const modelId = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/** A model id is one path component and stands in URLs and in names of fine-tuned models, so ':' and '/' are out. */
export function checkModelId(id: string): string {
  if (!modelId.test(id)) {
    throw new ModelError(
      'bad_id',
      `model id ${quoted(id)}: use letters, digits, '.', '_' and '-', starting with a letter or digit, at most 128`,
    );
  }
  return id;
}

/** Folder of a packed model; throws `unknown_model` when the store has none of that id. */
export async function resolveModelDir(store: string, id: string): Promise<string> {
  const dir = join(store, checkModelId(id));
  if (!(await exists(join(dir, 'index.json')))) {
    const known = (await listModels(store)).map((m) => m.id).join(', ') || 'none';
    throw new ModelError(
      'unknown_model',
      `model ${quoted(id)} is not in the store (models there: ${known}); add it with: rowsmith models add`,
    );
  }
  return dir;
}

/** Every packed model of the store, by id. Folders without a readable index are left out: they are not models yet. */
export async function listModels(store: string): Promise<PackedModelIndex[]> {
  const names = (await exists(store)) ? (await readdir(store)).filter((name) => !name.startsWith('.')).sort() : [];
  const models: PackedModelIndex[] = [];
  for (const name of names) {
    const index = await knownIndex(join(store, name)).catch(() => null);
    if (index?.id === name) models.push(index);
  }
  return models;
}

/** One packed model; null when the store has none of that id that can be read. */
export async function findModel(store: string, id: string): Promise<PackedModelIndex | null> {
  if (!modelId.test(id)) return null;
  const index = await knownIndex(join(store, id)).catch(() => null);
  return index?.id === id ? index : null;
}

interface KnownIndex {
  readonly version: string;
  readonly index: PackedModelIndex;
}
/** A store holds a handful of models; the bound is for processes that look at many stores. */
const mostKnown = 256;
const known = new Map<string, KnownIndex>();

/** Indices are never written in place, so one whose file is the same was parsed already. Whoever gets it must not change it. */
async function knownIndex(dir: string): Promise<PackedModelIndex> {
  const { ino, mtimeNs, ctimeNs, size } = await stat(join(dir, 'index.json'), { bigint: true });
  const version = `${ino} ${mtimeNs} ${ctimeNs} ${size}`;
  const before = known.get(dir);
  if (before?.version === version) return before.index;
  const index = await readIndex(dir);
  if (known.size >= mostKnown) known.clear();
  known.set(dir, { version, index });
  return index;
}

export async function readIndex(dir: string): Promise<PackedModelIndex> {
  const file = join(dir, 'index.json');
  try {
    return parseAs(PackedModelIndexSchema, JSON.parse(await readFile(file, 'utf8')), 'index.json');
  } catch (cause) {
    const message = (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'is missing' : (cause as Error).message;
    throw new ModelError('corrupt_model', `${message}; this is not a packed model, or a damaged one: add the model again`, { file, cause });
  }
}

/**
 * Puts the finished folder `fresh` in place as `<store>/<id>` by rename. False when the place was taken meanwhile (and not `replace`).
 * Replacing needs two renames; `recover` undoes a crash between them.
 */
export async function publish(store: string, id: string, fresh: string, replace: boolean): Promise<boolean> {
  const dir = join(store, id);
  if (replace && (await exists(dir))) {
    const old = join(store, `.old-${id}`);
    await rm(old, { recursive: true, force: true });
    await rename(dir, old);
    await rename(fresh, dir);
    await rm(old, { recursive: true, force: true });
    return true;
  }
  try {
    await rename(fresh, dir);
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return false;
    throw error;
  }
}

/** `.tmp-<pid>-...`: folders of imports under way; the pid tells whether somebody still works there. */
export const temporaryPrefix = '.tmp-';

/** Makes the store folder, removes what killed imports left, and puts back a model whose replacement was cut between its two renames. */
export async function recover(store: string): Promise<void> {
  await mkdir(store, { recursive: true });
  for (const name of await readdir(store)) {
    const path = join(store, name);
    if (name.startsWith('.old-')) {
      const dir = join(store, name.slice('.old-'.length));
      if (await exists(dir)) await rm(path, { recursive: true, force: true });
      else await rename(path, dir);
    }
    if (name.startsWith(temporaryPrefix) && (await abandoned(path, Number(name.split('-')[1]))))
      await rm(path, { recursive: true, force: true });
  }
}

/** In containers every run may have the same pid: a folder of ours that is older than this process is an earlier run's. */
async function abandoned(path: string, pid: number): Promise<boolean> {
  if (pid !== process.pid) return !alive(pid);
  return (await stat(path)).mtimeMs < performance.timeOrigin;
}

function alive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
