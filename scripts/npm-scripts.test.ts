/** What an init system or a parent does to `npm start`: it ends npm, by its pid. */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const statusOf = (pid: string) => readFileSync(`/proc/${pid}/stat`, 'utf8');

/** The process under `pid` that runs the command line; undefined until it does. */
function cliUnder(pid: number): string | undefined {
  return readdirSync('/proc').find((entry) => {
    try {
      const parent = statusOf(entry).split(') ')[1]?.split(' ')[1];
      return parent === String(pid) && readFileSync(`/proc/${entry}/cmdline`, 'utf8').includes('bin/rowsmith.js');
    } catch {
      return false;
    }
  });
}

test('a signal to npm reaches the program: no shell stands between them', async () => {
  // It waits for its standard input.
  const npm = spawn('npm', ['run', '-s', 'rowsmith', '--', 'jobs', 'estimate', '--file', '-'], {
    cwd: root,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const closed = new Promise((done) => npm.once('close', done));
  try {
    await expect.poll(() => cliUnder(npm.pid ?? 0), { timeout: 30_000 }).toBeDefined();
    const cli = cliUnder(npm.pid ?? 0);
    npm.kill('SIGTERM');
    await closed;
    await expect.poll(() => existsSync(`/proc/${cli}`), { timeout: 10_000 }).toBe(false);
  } finally {
    npm.stdin.end();
  }
  const { scripts } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8')) as { scripts: Record<string, string> };
  for (const name of ['start', 'quickstart', 'rowsmith']) expect(scripts[name]).toMatch(/^exec node /);
}, 60_000);
