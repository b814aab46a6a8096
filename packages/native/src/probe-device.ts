import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, freemem, totalmem } from 'node:os';
import { runProgram } from './run-program.js';

export interface Gpu {
  readonly name: string;
  readonly memoryBytes: number;
  readonly driver: string;
}
export interface DeviceProbe {
  readonly platform: string;
  readonly arch: string;
  readonly cpuModel: string;
  /** Kernel names, e.g. avx2, avx512f, avx512_bf16, amx_bf16. Empty where the kernel does not tell. */
  readonly cpuFlags: readonly string[];
  /** Cores that this process may use. */
  readonly cores: number;
  /** The smaller of the machine's memory and the control group's limit. */
  readonly memoryBytes: number;
  readonly freeMemoryBytes: number;
  readonly gpus: readonly Gpu[];
  /** null on systems without glibc, where TensorFlow cannot be loaded. */
  readonly glibc: string | null;
}

/** Looks at this machine without loading TensorFlow. Never throws: what cannot be found is empty or null. */
export async function probeDevice(): Promise<DeviceProbe> {
  return {
    platform: process.platform,
    arch: process.arch,
    cpuModel: cpus()[0]?.model.trim() ?? 'unknown',
    cpuFlags: cpuFlags(readText('/proc/cpuinfo')),
    cores: availableParallelism(),
    memoryBytes: Math.min(totalmem(), memoryLimit(readText('/sys/fs/cgroup/memory.max'))),
    freeMemoryBytes: freemem(),
    gpus: await nvidiaGpus(),
    glibc: glibcVersion(),
  };
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** From the text of /proc/cpuinfo; the line is `flags` on x86 and `Features` on ARM. */
export function cpuFlags(cpuinfo: string): readonly string[] {
  const line = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(cpuinfo);
  return line?.[1]?.trim().split(/\s+/) ?? [];
}

/** From the text of memory.max; `max` or nothing means no limit. */
export function memoryLimit(text: string): number {
  const bytes = Number.parseInt(text, 10);
  return Number.isFinite(bytes) ? bytes : Number.POSITIVE_INFINITY;
}

async function nvidiaGpus(): Promise<readonly Gpu[]> {
  const query = ['--query-gpu=name,memory.total,driver_version', '--format=csv,noheader,nounits'];
  const result = await runProgram('nvidia-smi', query).catch(() => null);
  return result?.status === 0 ? parseNvidiaSmi(result.stdout) : [];
}

/** Lines `name, MiB, driver`. */
export function parseNvidiaSmi(text: string): readonly Gpu[] {
  return text
    .split('\n')
    .map((line) => line.split(',').map((part) => part.trim()))
    .flatMap(([name, mebibytes, driver]) =>
      name && mebibytes && driver ? [{ name, memoryBytes: Number(mebibytes) * 2 ** 20, driver }] : [],
    );
}

function glibcVersion(): string | null {
  // Otherwise the report looks up the name of every open connection.
  Object.assign(process.report, { excludeNetwork: true });
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined;
  return report?.header?.glibcVersionRuntime ?? null;
}
