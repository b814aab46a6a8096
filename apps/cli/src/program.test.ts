import type { Command } from 'commander';
import { describe, expect, test, vi } from 'vitest';
import { buildProgram } from './program.js';

class Exit extends Error {}
const tree = (json = false) =>
  buildProgram((error) => {
    throw new Exit(String(error.exitCode === 0 ? 0 : 2));
  }, json);
const leaves = (command: Command): Command[] => (command.commands.length === 0 ? [command] : command.commands.flatMap(leaves));
/** These parse their options themselves, or do not talk to the API. */
const apart = ['up', 'doctor', 'backup', 'restore', 'add', 'completion', 'options'];

test('every command that talks to the API has --json, --url, --api-key and --data, and says what it does', () => {
  for (const command of leaves(tree())) {
    expect(command.description(), command.name()).not.toBe('');
    if (apart.includes(command.name())) continue;
    const names = command.options.map((option) => option.long);
    expect(names, command.name()).toEqual(expect.arrayContaining(['--json', '--url', '--api-key', '--data']));
  }
});

describe('wrong use ends with 2, however deep the command', () => {
  test.each([
    ['nonsense'],
    ['jobs', 'nonsense'],
    ['jobs', 'get'],
    ['jobs', 'create', '--scorer', 'best'],
    ['jobs', 'list', '--limit', '0'],
    ['files', 'upload', 'x', '--on-invalid', 'cry'],
    ['webhooks', 'create', 'https://example.com', '--event', 'job.dreamt'],
    ['completion', 'powershell'],
  ])('%s %s', async (...args) => {
    const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    await expect(tree().parseAsync(args, { from: 'user' })).rejects.toThrow(new Exit('2'));
    write.mockRestore();
  });
});

test.each([
  [['jobs', 'get', '--json'], "missing required argument 'job'"],
  [['jobs', 'list', '--limit', 'x', '--json'], "option '--limit <n>' argument 'x' is invalid. It must be a whole number from 1 on."],
  [['jobs', 'nonsense', '--json'], "unknown command 'nonsense'"],
])('%j: wrong use is one JSON line too', async (args, message) => {
  let written = '';
  const write = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    written += String(text);
    return true;
  });
  await expect(tree(true).parseAsync(args, { from: 'user' })).rejects.toThrow(new Exit('2'));
  write.mockRestore();
  expect(written).toMatch(/^[^\n]+\n$/);
  expect(JSON.parse(written)).toMatchObject({ error: { message, exit_code: 2, kind: null } });
});
