/** Which build of the kernels belongs to this machine: known without a compiler, so that a trainer can find it. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheFolder, tensorflowVersion } from '@rowsmith/native';

/** The C++ sources; both `src` and `dist` lie beside `native`. */
export const sourceFolder = fileURLToPath(new URL('../native/', import.meta.url));
export const kernelsName = 'rowsmith_kernels.node';

/** The processor's feature flags: code built with -march=native must not run on another kind of processor that shares the cache. */
function processorFeatures(): string {
  try {
    return /^(?:flags|Features)\s*:\s*(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? '';
  } catch {
    return '';
  }
}

export interface KernelsBuild {
  /** Folder in the cache, and the `source` line of its manifest. */
  readonly folder: string;
  readonly source: string;
  readonly path: string;
}

export function kernelsBuild(cache: string = cacheFolder()): KernelsBuild {
  const hash = createHash('sha256').update(`${tensorflowVersion}\n${process.arch}\n${processorFeatures()}\n`);
  for (const name of readdirSync(sourceFolder).sort()) hash.update(`${name}\n`).update(readFileSync(join(sourceFolder, name)));
  const key = hash.digest('hex').slice(0, 16);
  const folder = join(cache, 'native', `kernels-${key}`);
  return { folder, source: `rowsmith kernels, build ${key}`, path: join(folder, kernelsName) };
}
