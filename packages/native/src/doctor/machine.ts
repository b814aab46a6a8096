import { mkdir, statfs } from 'node:fs/promises';
import { cacheFolder } from '../cache-folder.js';
import { probeDevice } from '../probe-device.js';
import { absent, broken, type Finding, ok } from './finding.js';

/** Flags that decide which kernels and number formats pay: see the engine's README. */
export const flagsThatMatter = ['avx2', 'avx512f', 'avx512_bf16', 'amx_bf16', 'asimd', 'bf16'] as const;

const gibibytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
/** A full set-up takes 0.7 GiB for TensorFlow, 0.7 for the demo model, and as much again while it unpacks. */
const neededDiskBytes = 2 * 2 ** 30;
const neededMemoryBytes = 2 * 2 ** 30;

export async function machineFindings(): Promise<readonly Finding[]> {
  const probe = await probeDevice();
  const flags = flagsThatMatter.filter((flag) => probe.cpuFlags.includes(flag));
  const memory = `${gibibytes(probe.memoryBytes)}, ${gibibytes(probe.freeMemoryBytes)} free`;
  const gpus = probe.gpus.map((gpu) => `${gpu.name}, ${gibibytes(gpu.memoryBytes)}, driver ${gpu.driver}`);
  return [
    ok('CPU', `${probe.cpuModel} (${probe.arch}), ${flags.join(' ') || 'none of the flags that matter'}`, { model: probe.cpuModel, flags }),
    ok('Cores', String(probe.cores), { cores: probe.cores }),
    probe.memoryBytes < neededMemoryBytes
      ? broken('Memory', memory, 'use a machine or container with at least 2 GiB')
      : ok('Memory', memory, { bytes: probe.memoryBytes, freeBytes: probe.freeMemoryBytes }),
    await diskFinding(),
    gpus.length > 0
      ? ok('GPU', gpus.join('; '), { gpus: probe.gpus })
      : absent('GPU', 'none found by nvidia-smi: training runs on the CPU'),
    probe.glibc
      ? ok('C library', `glibc ${probe.glibc}`, { glibc: probe.glibc })
      : broken('C library', 'no glibc', 'use a Linux with glibc (Debian, Ubuntu, Fedora ...): the TensorFlow library needs it'),
  ];
}

async function diskFinding(): Promise<Finding> {
  const folder = cacheFolder();
  try {
    await mkdir(folder, { recursive: true });
    const disk = await statfs(folder);
    const free = disk.bavail * disk.bsize;
    const detail = `${gibibytes(free)} free for ${folder}`;
    return free < neededDiskBytes
      ? { ...broken('Disk', detail, 'free some space, or set ROWSMITH_CACHE to a folder with room'), needed: false }
      : ok('Disk', detail, { freeBytes: free, cache: folder });
  } catch (error) {
    return broken(
      'Disk',
      `${folder}: ${error instanceof Error ? error.message : error}`,
      'set ROWSMITH_CACHE to a folder that you can write to',
    );
  }
}
