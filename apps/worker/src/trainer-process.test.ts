import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { getPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startTrainer, type TrainerProcess } from './trainer-process.js';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rowsmith-trainer-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function start(niceness: number): Promise<TrainerProcess> {
  const program = join(folder, 'program.mjs');
  await writeFile(program, 'process.on("message", () => process.exit(7));');
  return startTrainer({
    ...{ program, env: { PATH: process.env['PATH'] ?? '' }, cwd: folder, niceness, wrapper: [] },
    onMessage: () => undefined,
    onInvalid: () => undefined,
  });
}

test('a trainer stands back as far as it is told, and no further', async () => {
  const own = getPriority();
  for (const niceness of [0, 7]) {
    const trainer = await start(niceness);
    expect(getPriority(trainer.pid)).toBe(Math.max(own, niceness));
    // Only where Linux shares processors by session; there it is what counts.
    const session = await readFile(`/proc/${trainer.pid}/autogroup`, 'utf8').catch(() => null);
    if (session !== null) expect(session).toMatch(new RegExp(` nice ${niceness}\\n$`));
    trainer.send({ type: 'stop', reason: 'cancel' });
    expect((await trainer.exited).code).toBe(7);
  }
});
