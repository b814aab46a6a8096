import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { mkdir, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { NativeError } from '@rowsmith/native';
import { kernelsName, sourceFolder } from './build-key.js';

const run = promisify(execFile);

// No -ffast-math: it would reorder sums differently from build to build. Errno is not read, so square roots may be one instruction.
const optimised = ['-O3', '-march=native'];
/** A fault ends the process with the line of the source: an index outside of a buffer is else a wrong number in silence. */
export const sanitised = ['-O1', '-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-fno-omit-frame-pointer'];

/** Compiles all sources to `kernelsName` in `stage`. library: folder with the two libraries and include/. Throws NativeError. */
export async function compileKernels(library: string, stage: string, flags: readonly string[] = optimised): Promise<void> {
  const links = join(stage, 'link');
  await mkdir(links);
  await symlink(join(library, 'libtensorflow_cc.so.2'), join(links, 'libtensorflow.so'));
  await symlink(join(library, 'libtensorflow_framework.so.2'), join(links, 'libtensorflow_framework.so'));
  const nodeApi = join(dirname(createRequire(import.meta.url).resolve('node-api-headers/package.json')), 'include');
  const sources = readdirSync(sourceFolder)
    .filter((name) => name.endsWith('.cc'))
    .sort();
  const args = [
    ...['-std=c++17', ...flags, '-fopenmp', '-fno-math-errno', '-fPIC', '-shared', '-DNAPI_VERSION=8'],
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
