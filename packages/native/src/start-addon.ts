/** The small addon of `native/start.cc`: found without a compiler, so that a trainer can load it first of all. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheFolder } from './cache-folder.js';
import { applyEnvironment, trainerEnvironment } from './environment.js';
import { NativeError } from './errors.js';
import { findInstalledPackages, nodeApiHeaders } from './installed-packages.js';
import { libraryPath } from './package-parts.js';
import type { OnProgress } from './progress.js';
import { runProgram } from './run-program.js';
import { libraryNames } from './tensorflow-library.js';
import { isWhole, publishFolder, sha256OfFile } from './verified-folder.js';

export interface StartAddon {
  /** Handlers of signals run on a stack of their own in the calling thread from now on. */
  guardSignals(): void;
  /** In threads, as is the next; `end` waits for all of them. */
  load(library: string): void;
  readAhead(file: string): void;
  end(): void;
}

const addonName = 'rowsmith_start.node';
/** Both `src` and `dist` lie beside `native`. */
const sourcePath = fileURLToPath(new URL('../native/start.cc', import.meta.url));

function startBuild(cache: string) {
  const key = createHash('sha256').update(`${process.arch}\n`).update(readFileSync(sourcePath)).digest('hex').slice(0, 16);
  const folder = join(cache, 'native', `start-${key}`);
  return { folder, source: `rowsmith start, build ${key}`, path: join(folder, addonName) };
}

/** Compiles it (about 2 s) unless the cache holds that very build. Throws NativeError. */
export async function ensureStartAddon(cache: string, progress: OnProgress): Promise<{ readonly path: string; readonly made: boolean }> {
  const build = startBuild(cache);
  if (await isWhole(build.folder, build.source)) return { path: build.path, made: false };
  progress({ step: 'compile', message: 'the addon that loads TensorFlow beside JavaScript' });
  await publishFolder(build.folder, async (stage) => {
    const path = join(stage, addonName);
    const flags = ['-std=c++17', '-O2', '-fPIC', '-shared', '-pthread', '-DNAPI_VERSION=8', `-I${nodeApiHeaders(findInstalledPackages())}`];
    const result = await runProgram('g++', [...flags, sourcePath, '-o', path, '-ldl']);
    if (result.status !== 0) {
      const tail = result.stderr.trim().split('\n').slice(-12).join('\n');
      throw new NativeError('compile_failed', `g++ could not build ${sourcePath}:\n${tail}`, 'install g++ 9 or newer');
    }
    return { source: build.source, files: [{ path: addonName, bytes: (await stat(path)).size, sha256: await sha256OfFile(path) }] };
  });
  return { path: build.path, made: true };
}

let addon: StartAddon | null = null;

/** null: not built, which costs time and the guard only. */
export function startAddon(): StartAddon | null {
  addon ??= load();
  return addon;
}

function load(): StartAddon | null {
  const { path } = startBuild(cacheFolder());
  if (!existsSync(path)) return null;
  const loaded = createRequire(import.meta.url)(path) as StartAddon;
  // Node runs no native hook of an addon when a program calls process.exit.
  process.once('exit', () => loaded.end());
  return loaded;
}

/** Loads TensorFlow's libraries in a thread, 0.2 s that `loadBinding` then need not take. Nothing is said of failures: `loadBinding` has them again. */
export function preloadTensorFlow(): void {
  try {
    const library = join(findInstalledPackages().tfjs, libraryPath(libraryNames[0]));
    // Its static initialisers read the environment.
    applyEnvironment(trainerEnvironment());
    if (existsSync(library)) startAddon()?.load(library);
  } catch {
    // Not set up, or ROWSMITH_THREADS is no number: said where it is needed.
  }
}

/** Asks the system to read a file into its cache, in a thread. Nothing is said of failures. */
export function readAhead(path: string): void {
  startAddon()?.readAhead(path);
}
