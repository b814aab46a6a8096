import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Service } from './child.js';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rowsmith-child-'));
});
afterEach(() => rm(folder, { recursive: true }));

const program = async (source: string) => {
  const file = join(folder, 'program.mjs');
  await writeFile(file, source);
  return file;
};
const waitFor = (lines: string[], wanted: (line: string) => boolean, wake: { on?: () => void }) =>
  new Promise<string>((found) => {
    const look = () => {
      const line = lines.find(wanted);
      if (line !== undefined) found(line);
    };
    wake.on = look;
    look();
  });

test('a killed service is started again; a stopped one stays down', async () => {
  const lines: string[] = [];
  const wake: { on?: () => void } = {};
  const service = new Service({
    name: 'worker',
    program: await program('console.log("up " + process.pid); setInterval(() => {}, 1000);'),
    env: process.env,
    log: (line) => {
      lines.push(line);
      wake.on?.();
    },
    onGiveUp: (reason) => lines.push(reason),
  });
  service.start();
  const first = await waitFor(lines, (l) => l.startsWith('up '), wake);
  process.kill(Number(first.slice(3)), 'SIGKILL');
  const second = await waitFor(lines, (l) => l.startsWith('up ') && l !== first, wake);
  expect(lines).toContain('worker ended unexpectedly (SIGKILL); starting it again');
  await service.stop(5_000);
  expect(() => process.kill(Number(second.slice(3)), 0)).toThrow(/ESRCH/);
});

test('a service that dies at once, again and again, is given up with the reason', async () => {
  const file = await program('process.exit(3)');
  const reason = await new Promise<string>((gaveUp) => {
    new Service({ name: 'api', program: file, env: process.env, log: () => {}, onGiveUp: gaveUp }).start();
  });
  expect(reason).toBe('api ended unexpectedly (exit code 3), 5 times in a row');
}, 20_000);
