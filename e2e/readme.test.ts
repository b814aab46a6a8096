/** The curl session of the README, pasted line by line into a shell. */
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { projectRoot, type Running, up } from './support/installation.js';

let folder = '';
let service: Running;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rowsmith-readme-'));
  await symlink(join(projectRoot, 'examples'), join(folder, 'examples'));
  service = await up(join(folder, '.rowsmith'));
});
afterAll(async () => {
  await service.stop();
  await rm(folder, { recursive: true });
});

/** A shell that reads from a pipe takes its input line by line, as from a paste. */
function paste(script: string): Promise<{ code: number | null; output: string }> {
  return new Promise((done) => {
    const shell = spawn('bash', ['-s'], { cwd: folder, stdio: ['pipe', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [shell.stdout, shell.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    shell.once('close', (code) => done({ code, output }));
    shell.stdin.end(script);
  });
}

test('works as printed', async () => {
  const readme = await readFile(join(projectRoot, 'README.md'), 'utf8');
  const session = /```bash\n([\s\S]*?)```/.exec(readme)?.[1] ?? '';
  expect(session).toContain('http://127.0.0.1:8080');
  const { code, output } = await paste(session.replace('http://127.0.0.1:8080', service.url));
  expect(output).not.toMatch(/"error":\{/);
  expect(output).toContain('"status":"succeeded"');
  expect(output).toMatch(/^step,train_loss/m);
  expect(output).toContain('adapter_model.safetensors');
  expect(code).toBe(0);
  expect((await readdir(join(folder, 'my-adapter'))).sort()).toEqual(
    expect.arrayContaining(['README.md', 'adapter_config.json', 'adapter_model.safetensors']),
  );
});
