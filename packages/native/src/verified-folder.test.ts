import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { hasAllFiles, isWhole, publishFolder, sha256OfFile } from './verified-folder.js';

const source = 'test content 1';
let root: string;
let folder: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'verified-folder-'));
  folder = join(root, 'part');
});
afterEach(() => rm(root, { recursive: true }));

const fill = (text: string) => async (stage: string) => {
  await writeFile(join(stage, 'a.txt'), text);
  return { source, files: [{ path: 'a.txt', bytes: Buffer.byteLength(text), sha256: await sha256OfFile(join(stage, 'a.txt')) }] };
};
const stages = async () => (await readdir(root)).filter((n) => n.startsWith('.stage-'));

test('a published folder is whole; another source, a changed byte or a missing file is noticed', async () => {
  expect(await isWhole(folder, source)).toBe(false);
  await publishFolder(folder, fill('hello'));
  expect(await isWhole(folder, source)).toBe(true);
  expect(await isWhole(folder, 'test content 2')).toBe(false);

  await writeFile(join(folder, 'a.txt'), 'hellO');
  expect(await hasAllFiles(folder, source)).toBe(true);
  expect(await isWhole(folder, source)).toBe(false);

  await rm(join(folder, 'a.txt'));
  expect(await hasAllFiles(folder, source)).toBe(false);
});

test('a damaged manifest makes the folder not whole', async () => {
  await publishFolder(folder, fill('hello'));
  for (const text of ['', '{', '[]', `{"source":"${source}","files":[]}`, `{"source":"${source}","files":[{"path":"a.txt"}]}`]) {
    await writeFile(join(folder, 'manifest.json'), text);
    expect(await isWhole(folder, source)).toBe(false);
  }
});

test('a broken folder is replaced, a whole one is kept', async () => {
  await publishFolder(folder, fill('hello'));
  await publishFolder(folder, fill('later, also whole'));
  expect(await readFile(join(folder, 'a.txt'), 'utf8')).toBe('hello');

  await writeFile(join(folder, 'a.txt'), 'x');
  await publishFolder(folder, fill('repaired'));
  expect(await readFile(join(folder, 'a.txt'), 'utf8')).toBe('repaired');
  expect(await stages()).toEqual([]);
});

test('of many set-ups at once one result stays, whole, and no stage is left', async () => {
  await Promise.all(Array.from({ length: 12 }, (_, i) => publishFolder(folder, fill(`from ${i}`))));
  expect(await isWhole(folder, source)).toBe(true);
  expect(await stages()).toEqual([]);
});

test('a failed fill leaves nothing', async () => {
  const failing = publishFolder(folder, async (stage) => {
    await writeFile(join(stage, 'a.txt'), 'half');
    throw new Error('disk on fire');
  });
  await expect(failing).rejects.toThrow('disk on fire');
  expect(await readdir(root)).toEqual([]);
});

test('kill -9 in the middle leaves a stage that is not taken for whole, and that the next day removes', async () => {
  const built = pathToFileURL(join(import.meta.dirname, '..', 'dist', 'verified-folder.js')).href;
  const program = `
    import { writeFileSync } from 'node:fs';
    const { publishFolder } = await import(${JSON.stringify(built)});
    await publishFolder(${JSON.stringify(folder)}, async (stage) => {
      writeFileSync(stage + '/a.txt', 'half');
      console.log('filling');
      await new Promise((resolve) => setTimeout(resolve, 60_000));
    });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(existsSync(folder)).toBe(false);
  const [left] = await stages();
  if (!left) throw new Error('the stage is gone');

  await publishFolder(folder, fill('hello'));
  expect(await stages()).toEqual([left]);
  const twoDaysAgo = Date.now() / 1000 - 2 * 24 * 3600;
  await utimes(join(root, left), twoDaysAgo, twoDaysAgo);
  await mkdir(join(root, 'neighbour'));
  await publishFolder(folder, fill('hello'));
  expect(await stages()).toEqual([]);
  expect((await readdir(root)).sort()).toEqual(['neighbour', 'part']);
});
