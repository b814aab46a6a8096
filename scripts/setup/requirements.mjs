import { mkdir, statfs } from 'node:fs/promises';
import { SetupFailure } from './failure.mjs';
import { cacheFolder, root } from './paths.mjs';
import { runProgram } from './run-program.mjs';

const gib = 2 ** 30;
/** TensorFlow unpacked 0.7, its wheel 0.2, the packed demo model 0.6 and its wheel 0.2, with room to build. */
const coldCacheBytes = 2.5 * gib;
/** node_modules and what the compiler writes. */
const cloneBytes = 1 * gib;
const warmCacheBytes = 0.1 * gib;

/** Programs and disk that set-up needs, before anything is downloaded. @param {{ cacheIsWarm: boolean, modulesAreThere: boolean }} known */
export async function checkRequirements(known) {
  const pip = await runProgram('python3', ['-m', 'pip', '--version']);
  if (pip.status === null) throw new SetupFailure('python3 was not found', installHint('python3 python3-pip', 'python3 python3-pip'));
  if (pip.status !== 0)
    throw new SetupFailure('Python 3 has no pip (it only downloads; no Python runs later)', installHint('python3-pip', 'python3-pip'));
  const compiler = await runProgram('g++', ['--version']);
  if (compiler.status !== 0) throw new SetupFailure('g++ was not found', installHint('g++', 'gcc-c++'));
  const cache = cacheFolder();
  await mkdir(cache, { recursive: true }).catch((error) => {
    throw new SetupFailure(
      `the cache folder ${cache} cannot be made (${error.code})`,
      'set ROWSMITH_CACHE to a folder that you can write to',
    );
  });
  const free = await checkDisk(
    cache,
    known.cacheIsWarm ? warmCacheBytes : coldCacheBytes,
    'free some space, or set ROWSMITH_CACHE to a folder with room',
  );
  if (!known.modulesAreThere) await checkDisk(root, cloneBytes, 'free some space, or clone to a disk with room');
  const version = /\d+\.\d+(\.\d+)?/;
  return `Node.js ${process.versions.node}, pip ${version.exec(pip.output)?.[0]}, g++ ${version.exec(compiler.output)?.[0]}, ${(free / gib).toFixed(1)} GiB free`;
}

async function checkDisk(folder, needed, repair) {
  const disk = await statfs(folder);
  const free = disk.bavail * disk.bsize;
  if (free < needed)
    throw new SetupFailure(`${folder} has ${(free / gib).toFixed(2)} GiB free, set-up needs ${(needed / gib).toFixed(1)}`, repair);
  return free;
}

/** @param {string} debian @param {string} fedora */
const installHint = (debian, fedora) => `Debian and Ubuntu: apt-get install ${debian}; Fedora: dnf install ${fedora}`;
