import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { NativeError } from './errors.js';
import { bindingSources, type InstalledPackages, nodeApiHeaders } from './installed-packages.js';
import type { OnProgress } from './progress.js';
import { runProgram } from './run-program.js';
import { libraryNames } from './tensorflow-library.js';
import { isWhole, publishFolder, sha256OfFile } from './verified-folder.js';

export const addonName = 'tfjs_binding.node';
/** The addon finds TensorFlow in `deps/lib` of the package it lies in; the copies in the cache are never loaded from there. */
const runPath = '-Wl,-rpath,$ORIGIN/../../deps/lib';

const noCompiler = () =>
  new NativeError(
    'compiler_missing',
    'g++ was not found',
    'install a C++ compiler (Debian and Ubuntu: apt-get install g++; Fedora: dnf install gcc-c++)',
  );

/** What the build depends on: sources, compiler, Node-API headers, flags, and the headers of TensorFlow (by their version's folder). */
async function buildKey(packages: InstalledPackages, library: string): Promise<string> {
  const compiler = await runProgram('g++', ['--version']);
  if (compiler.status !== 0) throw noCompiler();
  const hash = createHash('sha256');
  hash.update(`${process.arch}\n${runPath}\n${compiler.stdout}\n${packages.nodeApiHeadersVersion}\n`);
  hash.update(await readFile(join(library, 'manifest.json')));
  for (const name of (await readdir(bindingSources(packages))).sort()) {
    hash.update(`${name}\n`).update(await readFile(join(bindingSources(packages), name)));
  }
  return hash.digest('hex').slice(0, 16);
}

/** Compiles tfjs's binding against the cached TensorFlow (one compiler call, about 7 s) unless the cache holds that very build. */
export async function ensureAddon(
  cache: string,
  packages: InstalledPackages,
  library: string,
  progress: OnProgress,
): Promise<{ readonly path: string; readonly made: boolean }> {
  const key = await buildKey(packages, library);
  const folder = join(cache, 'native', `addon-${key}`);
  const source = `tfjs-node-gpu binding, build ${key}`;
  if (await isWhole(folder, source)) return { path: join(folder, addonName), made: false };
  progress({ step: 'compile', message: 'the addon that connects Node.js with TensorFlow' });
  await publishFolder(folder, async (stage) => {
    await compile(packages, library, stage);
    const path = join(stage, addonName);
    return { source, files: [{ path: addonName, bytes: (await stat(path)).size, sha256: await sha256OfFile(path) }] };
  });
  return { path: join(folder, addonName), made: true };
}

async function compile(packages: InstalledPackages, library: string, stage: string): Promise<void> {
  const links = join(stage, 'link');
  await mkdir(links);
  // The linker wants names without version.
  await symlink(join(library, libraryNames[0]), join(links, 'libtensorflow.so'));
  await symlink(join(library, libraryNames[1]), join(links, 'libtensorflow_framework.so'));
  const sources = ['tfjs_backend.cc', 'tfjs_binding.cc'].map((n) => join('binding', n));
  const includes = [nodeApiHeaders(packages), '.', join(library, 'include')].map((folder) => `-I${folder}`);
  const flags = ['-std=c++17', '-O2', '-fPIC', '-shared', '-DNAPI_VERSION=8', ...includes, ...sources, '-o', join(stage, addonName)];
  const result = await runProgram('g++', [...flags, `-L${links}`, '-ltensorflow', '-ltensorflow_framework', runPath], {
    cwd: packages.tfjs,
  });
  if (result.status === null) throw noCompiler();
  if (result.status !== 0) {
    const tail = result.stderr.trim().split('\n').slice(-12).join('\n');
    const repair = /No space left/.test(tail)
      ? 'free some space in the temporary and cache folders'
      : 'install g++ 9 or newer; if it still fails, report this output';
    throw new NativeError('compile_failed', `g++ could not build the TensorFlow addon:\n${tail}`, repair);
  }
  await rm(links, { recursive: true });
}
