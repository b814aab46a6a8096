import { expect, test } from 'vitest';
import { cpuFlags, memoryLimit, parseNvidiaSmi, probeDevice } from './probe-device.js';

test('reads flags of x86 and ARM kernels', () => {
  expect(cpuFlags('processor\t: 0\nflags\t\t: fpu avx2 avx512_bf16\nbugs\t: x\n')).toEqual(['fpu', 'avx2', 'avx512_bf16']);
  expect(cpuFlags('Features\t: fp asimd bf16\n')).toEqual(['fp', 'asimd', 'bf16']);
  expect(cpuFlags('')).toEqual([]);
});

test('reads the memory limit of a control group', () => {
  expect(memoryLimit('2147483648\n')).toBe(2 ** 31);
  expect(memoryLimit('max\n')).toBe(Number.POSITIVE_INFINITY);
  expect(memoryLimit('')).toBe(Number.POSITIVE_INFINITY);
});

test('reads what nvidia-smi prints', () => {
  expect(parseNvidiaSmi('NVIDIA H100 80GB HBM3, 81559, 550.54.15\n\n')).toEqual([
    { name: 'NVIDIA H100 80GB HBM3', memoryBytes: 81559 * 2 ** 20, driver: '550.54.15' },
  ]);
  expect(parseNvidiaSmi('No devices were found\n')).toEqual([]);
});

test('finds this machine', async () => {
  const probe = await probeDevice();
  expect(probe.cores).toBeGreaterThan(0);
  expect(probe.memoryBytes).toBeGreaterThan(2 ** 28);
  expect(probe.glibc).toMatch(/^2\.\d+$/);
});
