import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { curlCommand } from './curl.js';

test('a shell reads the printed command as the request that was made', () => {
  const command = curlCommand('http://127.0.0.1:1/jobs?limit=1', { json: { prompt: 'it\'s $HOME "x"' }, form: ['file=@a b.jsonl'] });
  const script = `curl() { for a in "$@"; do printf '%s\\n' "$a"; done; }\nROWSMITH_API_KEY=k\n${command}`;
  const args = execFileSync('bash', ['-c', script], { encoding: 'utf8' }).trim().split('\n');
  expect(args).toEqual([
    '-s',
    'http://127.0.0.1:1/jobs?limit=1',
    '-H',
    'Authorization: Bearer k',
    '-H',
    'Content-Type: application/json',
    '-d',
    '{"prompt":"it\'s $HOME \\"x\\""}',
    '-F',
    'file=@a b.jsonl',
  ]);
});
