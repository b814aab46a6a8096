import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { cacheFolder as cacheOfNative } from '../../packages/native/src/cache-folder.js';
import { isNewEnough } from './node-version.mjs';
import { cacheFolder } from './paths.mjs';
import { bar, stepDisplay } from './terminal.mjs';

const scripts = dirname(dirname(fileURLToPath(import.meta.url)));
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'setup-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A clone without anything installed, and a PATH that holds only the named programs. */
function setUpWith(programs: readonly string[], env: Record<string, string> = {}) {
  const clone = join(folder, 'clone');
  mkdirSync(clone);
  cpSync(scripts, join(clone, 'scripts'), { recursive: true });
  writeFileSync(join(clone, 'package-lock.json'), '{"packages":{}}');
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  for (const name of programs) symlinkSync(execFileSync('which', [name], { encoding: 'utf8' }).trim(), join(bin, name));
  const result = spawnSync(process.execPath, [join(clone, 'scripts', 'setup.mjs')], {
    env: { PATH: bin, HOME: folder, ROWSMITH_CACHE: join(folder, 'cache'), ...env },
    encoding: 'utf8',
  });
  expect(existsSync(join(clone, '.setup.lock'))).toBe(false);
  return { status: result.status, text: result.stdout + result.stderr };
}

test('what is missing is named with its repair, and set-up exits 1', () => {
  const withoutPython = setUpWith([]);
  expect(withoutPython).toMatchObject({ status: 1, text: expect.stringContaining('python3 was not found') });
  expect(withoutPython.text).toContain('Repair: Debian and Ubuntu: apt-get install python3');
});

test('no pip is told apart from no Python', () => {
  const program = join(folder, 'python3');
  writeFileSync(program, '#!/bin/sh\necho "No module named pip" >&2\nexit 1\n', { mode: 0o755 });
  expect(setUpWith(['sh'], { PATH: `${folder}:${join(folder, 'bin')}` }).text).toMatch(/has no pip[\s\S]*apt-get install python3-pip/);
});

test('no compiler', () => {
  const program = join(folder, 'python3');
  writeFileSync(program, '#!/bin/sh\necho "pip 23.0 from here"\n', { mode: 0o755 });
  expect(setUpWith(['sh'], { PATH: `${folder}:${join(folder, 'bin')}` }).text).toMatch(/g\+\+ was not found[\s\S]*apt-get install g\+\+/);
});

test('a cache folder that cannot be made', () => {
  writeFileSync(join(folder, 'file'), '');
  for (const name of ['python3', 'g++']) writeFileSync(join(folder, name), '#!/bin/sh\necho "pip 23.0"\n', { mode: 0o755 });
  const result = setUpWith(['sh'], { PATH: `${folder}:${join(folder, 'bin')}`, ROWSMITH_CACHE: join(folder, 'file', 'cache') });
  expect(result).toMatchObject({ status: 1, text: expect.stringMatching(/cannot be made \(ENOTDIR\)[\s\S]*set ROWSMITH_CACHE/) });
});

test('the lowest Node.js is the one that package.json names', () => {
  expect(['18.20.0', '20.18.9', '20.19.0', '22.1.0'].map(isNewEnough)).toEqual([false, false, true, true]);
  const { engines } = JSON.parse(readFileSync(join(scripts, '..', 'package.json'), 'utf8')) as { engines: { node: string } };
  expect(isNewEnough(engines.node.replace('>=', '').concat('.0'))).toBe(true);
  expect(isNewEnough('20.18.0')).toBe(false);
});

test('both rules for the cache folder are one', () => {
  for (const env of [{ ROWSMITH_CACHE: 'a' }, { XDG_CACHE_HOME: '/x', HOME: '/h' }, { HOME: '/h' }, { ROWSMITH_CACHE: '', HOME: '/h' }]) {
    expect(cacheFolder(env)).toBe(cacheOfNative(env));
  }
});

test('a bar shows shares of its width', () => {
  expect(bar(1, 4, 8)).toBe('██░░░░░░  25 %');
  expect(bar(9, 4, 4)).toBe('████ 100 %');
  expect(bar(0, 0, 4)).toBe('░░░░   0 %');
});

test('a quick step prints one line, a slow one shows progress: in place on a terminal, as lines elsewhere', () => {
  const show = (isTTY: boolean, durationMs: number) => {
    let now = 0;
    let text = '';
    const out = { isTTY, columns: 80, write: (part: string) => (text += part) };
    const display = stepDisplay('step', out, () => now);
    for (; now < durationMs; now += 1000) display.update({ message: 'working', done: now, total: durationMs });
    display.end('✓', 'made');
    return text;
  };
  expect(show(false, 1000)).toBe('  ✓ step: made (1.0 s)\n');
  expect(show(false, 30_000).match(/…/g)).toHaveLength(3);
  expect(show(true, 10_000)).toContain('\r\x1b[2K');
  expect(show(false, 30_000)).not.toContain('\x1b');
});
