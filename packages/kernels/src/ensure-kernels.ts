import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { mkdir, readFile, rm, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder, isWhole, NativeError, type OnProgress, publishFolder } from '@rowsmith/native';
import { kernelsBuild, kernelsName, sourceFolder } from './build-key.js';

const run = promisify(execFile);

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
    await compile(options.libraryFolder, stage);
    const path = join(stage, kernelsName);
    const sha256 = createHash('sha256')
      .update(await readFile(path))
      .digest('hex');
    return { source: build.source, files: [{ path: kernelsName, bytes: (await stat(path)).size, sha256 }] };
  });
  return { path: build.path, made: true };
}

async function compile(library: string, stage: string): Promise<void> {
  const links = join(stage, 'link');
  await mkdir(links);
  await symlink(join(library, 'libtensorflow_cc.so.2'), join(links, 'libtensorflow.so'));
  await symlink(join(library, 'libtensorflow_framework.so.2'), join(links, 'libtensorflow_framework.so'));
  const nodeApi = join(dirname(createRequire(import.meta.url).resolve('node-api-headers/package.json')), 'include');
  const sources = readdirSync(sourceFolder)
    .filter((name) => name.endsWith('.cc'))
    .sort();
  const args = [
    // No -ffast-math: it would reorder sums differently from build to build. Errno is not read, so square roots may be one instruction.
    ...['-std=c++17', '-O3', '-march=native', '-fopenmp', '-fno-math-errno', '-fPIC', '-shared', '-DNAPI_VERSION=8'],
    ...[`-I${nodeApi}`, `-I${join(library, 'include')}`, ...sources, '-o', join(stage, kernelsName)],
    ...[`-L${links}`, '-ltensorflow', '-ltensorflow_framework'],
  ];
  try {
    await run('g++', args, { cwd: sourceFolder, maxBuffer: 1 << 24 });
  } catch (error) {
    const { code, stderr } = error as { code?: unknown; stderr?: string };
    if (code === 'ENOENT')
      throw new NativeError('compiler_missing', 'g++ was not found', 'install a C++ compiler (Debian and Ubuntu: apt-get install g++)');
    const tail = (stderr ?? String(error)).trim().split('\n').slice(-12).join('\n');
    throw new NativeError(
      'compile_failed',
      `g++ could not build the fused operators:\n${tail}`,
      'install g++ 9 or newer; training also works without them, slower',
    );
  }
  await rm(links, { recursive: true });
}
