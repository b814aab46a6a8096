import { ensureAddon } from './addon.js';
import { cacheFolder } from './cache-folder.js';
import { nameDiskFull } from './errors.js';
import { findInstalledPackages } from './installed-packages.js';
import { putPartsIntoPackage } from './package-parts.js';
import type { OnProgress } from './progress.js';
import { ensureStartAddon } from './start-addon.js';
import { ensureLibrary } from './tensorflow-library.js';
import { type NativeDevice, tensorflowVersion } from './wheels.js';

export interface EnsureNativeOptions {
  readonly progress?: OnProgress;
  /** Default cpu. One addon serves both. */
  readonly device?: NativeDevice;
  /** Default: `cacheFolder()`. */
  readonly cache?: string;
}
export interface NativeParts {
  readonly tensorflowVersion: string;
  /** Cache folder with the two libraries and `include/`. */
  readonly libraryFolder: string;
  readonly addon: string;
  /** What had to be made; empty when the cache and the clone were complete. */
  readonly made: readonly ('library' | 'addon' | 'links')[];
}

/** Brings TensorFlow and the addon into the cache, verified by hash, and into this clone's node_modules. Throws NativeError. */
export async function ensureNative(options: EnsureNativeOptions = {}): Promise<NativeParts> {
  const progress = options.progress ?? (() => {});
  const cache = options.cache ?? cacheFolder();
  const packages = findInstalledPackages();
  const made: NativeParts['made'][number][] = [];
  try {
    const library = await ensureLibrary(cache, options.device ?? 'cpu', progress);
    if (library.made) made.push('library');
    const addon = await ensureAddon(cache, packages, library.folder, progress);
    const start = await ensureStartAddon(cache, progress);
    if (addon.made || start.made) made.push('addon');
    if (await putPartsIntoPackage(packages.tfjs, library.folder, addon.path)) made.push('links');
    return { tensorflowVersion, libraryFolder: library.folder, addon: addon.path, made };
  } catch (error) {
    throw nameDiskFull(error, cache);
  }
}
