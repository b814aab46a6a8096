import type { Command } from 'commander';
import { describe, expect, test, vi } from 'vitest';
import { buildProgram } from './program.js';

class Exit extends Error {}
const tree = () =>
  buildProgram((error) => {
    throw new Exit(String(error.exitCode === 0 ? 0 : 2));
  });
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
