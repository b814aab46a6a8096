import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheFolder, isWhole, type OnProgress, publishFolder } from '@rowsmith/native';
import { kernelsBuild, kernelsName } from './build-key.js';
import { compileKernels } from './compile-kernels.js';

export interface EnsureKernelsOptions {
  /** Folder with libtensorflow_cc.so.2, libtensorflow_framework.so.2 and include/. */
  readonly libraryFolder: string;
  readonly cache?: string;
  readonly progress?: OnProgress;
}

/** Compiles the fused operators for this processor (about 10 s) unless the cache holds that very build. Throws NativeError. */
export async function ensureKernels(options: EnsureKernelsOptions): Promise<{ readonly path: string; readonly made: boolean }> {
  const build = kernelsBuild(options.cache ?? cacheFolder());
  if (await isWhole(build.folder, build.source)) return { path: build.path, made: false };
  options.progress?.({ step: 'compile', message: 'the fused operators for this processor' });
  await publishFolder(build.folder, async (stage) => {
    await compileKernels(options.libraryFolder, stage);
    const path = join(stage, kernelsName);
    const sha256 = createHash('sha256')
      .update(await readFile(path))
      .digest('hex');
    return { source: build.source, files: [{ path: kernelsName, bytes: (await stat(path)).size, sha256 }] };
  });
  return { path: build.path, made: true };
}
