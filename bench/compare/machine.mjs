/** What this machine is and can do at most: processor flags, peak of multiply-adds, rates of matrix products, the bound on tokens per second. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { join } from 'node:path';
import { modelShapes } from './arithmetic.mjs';

const notable = ['avx2', 'fma', 'avx512f', 'avx512_bf16', 'avx512_vnni', 'amx_bf16', 'amx_int8'];

export function describeMachine() {
  const flags = (readFileSync('/proc/cpuinfo', 'utf8').match(/^flags\s*:(.*)$/m)?.[1] ?? '').trim().split(' ');
  return {
    processor: cpus()[0].model.trim(),
    memory_gib: Math.round(totalmem() / 2 ** 30),
    flags: notable.filter((flag) => flags.includes(flag)),
    load: loadavg().map((load) => Math.round(load * 10) / 10),
    node: process.version,
  };
}

/** here: the bench folder; scratch: for the compiled program. */
export function measureMachine({ here, scratch, threads, config, python, environment, tokens, precision }) {
  const program = join(scratch, 'peak');
  execFileSync('g++', ['-std=c++17', '-O3', '-march=native', '-pthread', '-o', program, join(here, 'machine', 'peak.cc')]);
  const last = (output) => JSON.parse(output.trim().split('\n').at(-1));
  const run = (command, args) => last(execFileSync(command, args, { encoding: 'utf8', env: { ...process.env, ...environment } }));
  const shapes = JSON.stringify(modelShapes(config));
  return {
    ...describeMachine(),
    peak: run(program, [String(threads)]),
    products: run(process.execPath, [join(here, 'machine', 'products.mjs'), shapes, String(tokens), precision]),
    torch: run(python, [join(here, 'peers', 'products.py'), shapes, String(tokens), String(threads)]),
  };
}
