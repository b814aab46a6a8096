/**
 * node packages/kernels/scripts/sanitise.mjs [--march x86-64-v3] [vitest's file filters]: compiles the operators with gcc's address and undefined-behaviour sanitisers and runs the
 * tests of this package with them (40 s of processor time). Ends with 1 at the first read or write outside of a buffer, misaligned access or overflow. Needs `npm run setup`.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ensureNative } from '@rowsmith/native';
import { kernelsName } from '../dist/build-key.js';
import { compileKernels, sanitised } from '../dist/compile-kernels.js';

const { values, positionals } = parseArgs({ allowPositionals: true, options: { march: { type: 'string', default: 'native' } } });
const filters = positionals.length > 0 ? positionals : ['packages/kernels'];
const root = fileURLToPath(new URL('../../../', import.meta.url));
const runtime = (name) => realpathSync(execFileSync('g++', [`-print-file-name=${name}`], { encoding: 'utf8' }).trim());
const folder = mkdtempSync(join(tmpdir(), 'rowsmith-sanitise-'));
try {
  const { libraryFolder } = await ensureNative();
  await compileKernels(libraryFolder, folder, [...sanitised, `-march=${values.march}`]);
  const { status } = spawnSync(process.execPath, [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--project', 'engine', ...filters], {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...process.env,
      ROWSMITH_KERNELS: join(folder, kernelsName),
      // Each tensor is then an allocation of its own, with forbidden bytes around it.
      TF_ONEDNN_USE_SYSTEM_ALLOCATOR: '1',
      // Node itself is not compiled for it, so the runtime must be there first.
      LD_PRELOAD: runtime('libasan.so'),
      // Node and TensorFlow keep what they need until the end, and free by other means than they allocate.
      ASAN_OPTIONS: 'detect_leaks=0:alloc_dealloc_mismatch=0:abort_on_error=1',
      UBSAN_OPTIONS: 'print_stacktrace=1',
    },
  });
  process.exitCode = status === 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true });
}
