/** The three quickstarts of the README as printed: the curl session pasted line by line into a shell, the openai packages of PyPI and npm. */
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pythonWith } from '@rowsmith/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { projectRoot, type Running, up } from './support/installation.js';

let folder = '';
let service: Running;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rowsmith-readme-'));
  await symlink(join(projectRoot, 'examples'), join(folder, 'examples'));
  await symlink(join(projectRoot, 'node_modules'), join(folder, 'node_modules'));
  service = await up(join(folder, '.rowsmith'));
});
afterAll(async () => {
  await service.stop();
  await rm(folder, { recursive: true });
});

/** The only block of a language in the README. */
async function block(language: string): Promise<string> {
  const readme = await readFile(join(projectRoot, 'README.md'), 'utf8');
  const found = [...readme.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))];
  expect(found).toHaveLength(1);
  return found[0]?.[1] ?? '';
}

/** In the folder, with what the curl session exports. */
function run(program: string, args: readonly string[], input = ''): Promise<{ code: number | null; output: string }> {
  return new Promise((done, failed) => {
    const env = { ...process.env, ROWSMITH_URL: service.url, ROWSMITH_API_KEY: service.apiKey };
    const child = spawn(program, args, { cwd: folder, env, stdio: ['pipe', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    child.once('error', failed);
    child.once('close', (code) => done({ code, output }));
    child.stdin.end(input);
  });
}

test('curl', async () => {
  const session = await block('bash');
  expect(session).toContain('http://127.0.0.1:8080');
  // A shell that reads from a pipe takes its input line by line, as from a paste.
  const { code, output } = await run('bash', ['-s'], session.replace('http://127.0.0.1:8080', service.url));
  expect(output).not.toMatch(/"error":\{/);
  expect(output).toContain('"status":"succeeded"');
  expect(output).toMatch(/^step,train_loss/m);
  expect(output).toContain('adapter_model.safetensors');
  expect(code).toBe(0);
  expect((await readdir(join(folder, 'my-adapter'))).sort()).toEqual(
    expect.arrayContaining(['README.md', 'adapter_config.json', 'adapter_model.safetensors']),
  );
});

/** The end of the job, its model, and its metrics: a header and four steps. */
const trained = /^succeeded ft:smollm2-135m-instruct:\S+\nstep,train_loss\S*\n(?:\d+,\S+\n){4}/;

test('the openai package of PyPI', async () => {
  const python = await pythonWith(['openai==3.54.0']);
  await writeFile(join(folder, 'tune.py'), await block('python'));
  const { code, output } = await run(python, ['tune.py']);
  expect(output).toMatch(trained);
  expect(code).toBe(0);
});

test('the openai package of npm', async () => {
  await writeFile(join(folder, 'tune.mjs'), await block('js'));
  const { code, output } = await run(process.execPath, ['tune.mjs']);
  expect(output).toMatch(trained);
  expect(code).toBe(0);
});
