import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
let folder = '';
let script = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rowsmith-script-'));
  script = join(folder, 'try.mjs');
  writeFileSync(
    script,
    `/**
 * Tries things.
 *   node try.mjs <folder> [--times 3] [--queue redis|postgres]
 */
import { commandLine } from '${new URL('command-line.mjs', import.meta.url).href}';
const options = { times: { type: 'string', default: '3' }, queue: { type: 'string', oneOf: ['redis', 'postgres'] } };
const { values, positionals } = commandLine(import.meta.url, { options, names: ['<folder>'] });
console.log(JSON.stringify({ ...values, positionals }));
`,
  );
});
afterAll(() => rmSync(folder, { recursive: true }));
const run = (...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' });
  return { status, stdout: stdout.trim(), stderr: stderr.trim() };
};

test('the head comment is the help', () => {
  for (const help of ['--help', '-h'])
    expect(run(help)).toEqual({
      status: 0,
      stdout: 'Tries things.\n  node try.mjs <folder> [--times 3] [--queue redis|postgres]',
      stderr: '',
    });
});

test('values come as they are given', () => {
  expect(JSON.parse(run('here', '--queue', 'redis').stdout)).toEqual({ times: '3', queue: 'redis', positionals: ['here'] });
});

test.each([
  [[], '<folder> is missing'],
  [['a', 'b'], "'b' is one argument too many"],
  [['a', '--times', 'often'], "--times must be a number, not 'often'"],
  [['a', '--queue', 'kafka'], "--queue must be redis or postgres, not 'kafka'"],
  [['a', '--tmies', '4'], "Unknown option '--tmies'"],
  [['a', '--times'], "Option '--times <value>' argument missing"],
])('%j is told in a line and ends with 2', (args, message) => {
  const { status, stderr } = run(...args);
  expect(status).toBe(2);
  expect(stderr.split('\n')[0]).toMatch(`try.mjs: ${message}`);
  expect(stderr).not.toContain('    at ');
});

test('no script reads its arguments in another way, and each says what it is for', () => {
  const groups = ['scripts', 'bench', 'bench/agreement', 'bench/machine'];
  const scripts = groups.flatMap((group) =>
    readdirSync(join(root, group))
      .filter((name) => name.endsWith('.mjs'))
      .map((name) => `${group}/${name}`),
  );
  // These pass all of them on, the last one is started by another; images hold migrate.mjs without the other scripts.
  const others = ['command-line', 'start', 'test', 'quickstart', 'migrate', 'memory-child'].map((name) => `/${name}.mjs`);
  expect(scripts.length).toBeGreaterThan(15);
  for (const path of scripts) {
    const source = readFileSync(join(root, path), 'utf8');
    const itself = /parseArgs|process\.argv\[|const .*= process\.argv/.test(source) && !others.some((name) => path.endsWith(name));
    expect({ path, head: source.startsWith('/**'), itself }).toEqual({ path, head: true, itself: false });
  }
});
