/** The script of bash in bash; those of zsh and fish, which not every machine has, by their words. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { buildProgram } from '../program.js';
import { commandWords } from './command-words.js';
import { fishCompletion } from './fish.js';
import { bashCompletion, zshCompletion } from './posix-shells.js';

const words = commandWords(
  buildProgram((error) => {
    throw error;
  }),
);
const folder = mkdtempSync(join(tmpdir(), 'rowsmith-completion-'));
writeFileSync(join(folder, 'rows it.jsonl'), '');
const offer = `COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _rowsmith; for word in "\${COMPREPLY[@]}"; do echo "$word"; done\n`;
writeFileSync(join(folder, 'offer.bash'), `${bashCompletion(words)}${offer}`);
afterAll(() => rmSync(folder, { recursive: true }));

/** What bash offers for the last word, which is being typed. */
function offered(...line: string[]): string[] {
  const output = execFileSync('bash', ['--norc', './offer.bash', 'rowsmith', ...line], { cwd: folder, encoding: 'utf8' });
  return output.split('\n').filter((word) => word !== '');
}

describe('bash offers', () => {
  test('commands', () => {
    expect(offered('')).toEqual(expect.arrayContaining(['jobs', 'files', 'webhooks', 'workers', 'verify', 'completion']));
    expect(offered('jobs', 'c')).toEqual(['create', 'clone', 'cancel', 'checkpoint', 'checkpoints']);
    expect(offered('completion', 'ba')).toEqual(['bash']);
  });
  test('options of the command that the words lead to, after others too', () => {
    expect(offered('jobs', 'create', '--model', 'm', '--max-')).toEqual(['--max-steps', '--max-seq-length', '--max-duration']);
    expect(offered('jobs', 'get', '--max-')).toEqual([]);
  });
  test('the names that an option takes, written either way', () => {
    expect(offered('jobs', 'create', '--scorer', 'ta')).toEqual(['taylor', 'taylor_multivariable', 'taylor2']);
    expect(offered('jobs', 'create', '--scorer', '=', 'zo')).toEqual(['zo_taylor']);
    expect(offered('jobs', 'create', '--seed', '')).toEqual([]);
  });
  test('files where a path belongs', () => {
    expect(offered('jobs', 'create', '--training-file', 'rows')).toContain('rows it.jsonl');
    expect(offered('files', 'upload', 'rows')).toContain('rows it.jsonl');
  });
});

const others = { zsh: zshCompletion(words), fish: fishCompletion(words) };
test.each(Object.keys(others) as (keyof typeof others)[])('the script of %s names every command', (shell) => {
  for (const { path } of words) if (path !== '') expect(others[shell]).toContain(`'${path}'`);
});
test('the script of zsh offers what that of bash does', () => {
  for (const { commands, options } of words) {
    const names = [...commands, ...options].map(({ name }) => `'${name}'`);
    if (names.length > 0) expect(others.zsh).toContain(names.join(' '));
  }
});
