import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { NativeError } from './errors.js';
import { fetchWheel } from './fetch-wheel.js';
import type { OnProgress } from './progress.js';
import { type FolderManifest, isWhole, publishFolder } from './verified-folder.js';
import { type NativeDevice, type PinnedWheel, tensorflowWheels } from './wheels.js';
import { extractMember, listZip, type ZipMember } from './zip-reader.js';

/** The two shared libraries that everything links to, in load order of need. */
export const libraryNames = ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2'] as const;

/** Headers of TensorFlow's C interface (the addon and the kernels include these) out of the wheel's 9,868 files. */
const headerFolders = [
  'tensorflow/c/',
  'tensorflow/core/platform/',
  'tensorflow/core/common_runtime/next_pluggable_device/c/',
  'tsl/platform/',
  'xla/tsl/c/',
  'xla/tsl/platform/',
];

const isNeeded = (name: string) =>
  libraryNames.some((l) => name === `tensorflow/${l}`) ||
  (name.endsWith('.h') && headerFolders.some((f) => name.startsWith(`tensorflow/include/${f}`)));

export function wheelFor(device: NativeDevice): PinnedWheel {
  const wheel = process.platform === 'linux' ? tensorflowWheels[`${device}-${process.arch}`] : undefined;
  if (!wheel) {
    throw new NativeError(
      'unsupported_platform',
      `No TensorFlow library is known for ${device} on ${process.platform} ${process.arch}`,
      'run on Linux with glibc (x86_64; aarch64 for CPU only), for example in the container of the Dockerfile',
    );
  }
  return wheel;
}

/** Cache folder of TensorFlow's libraries: `libtensorflow_cc.so.2`, `libtensorflow_framework.so.2`, `include/`. */
export function libraryFolder(cache: string, device: NativeDevice): string {
  const wheel = wheelFor(device);
  return join(cache, 'native', `tensorflow-${wheel.version}-${device}-${process.arch}`);
}

const sourceOf = (wheel: PinnedWheel) => `${wheel.project}==${wheel.version} sha256:${wheel.sha256}`;

/** Fetches and unpacks TensorFlow into the cache unless a copy is there whose files all have their SHA-256. */
export async function ensureLibrary(
  cache: string,
  device: NativeDevice,
  progress: OnProgress,
  wheel: PinnedWheel = wheelFor(device),
): Promise<{ readonly folder: string; readonly made: boolean }> {
  const folder = libraryFolder(cache, device);
  const source = sourceOf(wheel);
  const message = `TensorFlow ${wheel.version} (${device}) in the cache`;
  if (await isWhole(folder, source, (done, total) => progress({ step: 'verify', message, done, total }))) return { folder, made: false };
  await publishFolder(folder, async (stage) => {
    const downloads = join(stage, '.download');
    const path = await fetchWheel(wheel, downloads, progress);
    const files = await unpack(path, stage, progress);
    await rm(downloads, { recursive: true });
    return { source, files };
  });
  return { folder, made: true };
}

async function unpack(wheelPath: string, stage: string, progress: OnProgress): Promise<FolderManifest['files']> {
  const members = (await listZip(wheelPath)).filter((m) => isNeeded(m.name));
  for (const name of libraryNames) {
    if (!members.some((m) => m.name === `tensorflow/${name}`)) {
      throw new NativeError('archive_damaged', `The TensorFlow wheel has no ${name}`, 'run the set-up again; if it repeats, report it');
    }
  }
  const total = members.reduce((sum, m) => sum + m.bytes, 0);
  let done = 0;
  const unpackOne = async (member: ZipMember) => {
    const path = member.name.slice('tensorflow/'.length);
    const sha256 = await extractMember(wheelPath, member, join(stage, path), (bytes) => {
      done += bytes;
      progress({ step: 'unpack', message: 'TensorFlow libraries and headers', done, total });
    });
    return { path, bytes: member.bytes, sha256 };
  };
  const files = [];
  for (const member of members) files.push(await unpackOne(member));
  return files;
}
