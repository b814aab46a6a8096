import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bundleInputs, bundleProgram, freshBundle } from './bundle.js';

let root: string;
let folder: string;
const module = () => join(root, 'module.js');
const at = (path: string, seconds: number) => utimesSync(path, seconds, seconds);

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'rowsmith-bundle-'));
  folder = join(root, 'bundle');
  mkdirSync(folder);
  writeFileSync(module(), 'export {};');
  writeFileSync(join(root, 'package.json'), JSON.stringify({ version: '1.2.3' }));
  writeFileSync(join(folder, bundleProgram), '');
  writeFileSync(join(folder, bundleInputs), JSON.stringify({ files: [['../module.js', 10]], packages: [['../package.json', '1.2.3']] }));
  at(module(), 1_000);
  at(join(folder, bundleProgram), 1_000);
});
afterEach(() => rmSync(root, { recursive: true }));

test('a bundle of the modules as they are is taken', () => {
  expect(freshBundle(folder)).toBe(pathToFileURL(join(folder, bundleProgram)).href);
});

test.each<[string, () => void]>([
  ['a module was compiled after it', () => at(module(), 1_001)],
  [
    'a module has another size',
    () => {
      writeFileSync(module(), 'export {}');
      at(module(), 1_000);
    },
  ],
  ['a module is gone', () => rmSync(module())],
  ['a package has another version', () => writeFileSync(join(root, 'package.json'), JSON.stringify({ version: '1.2.4' }))],
  ['the bundle is gone', () => rmSync(join(folder, bundleProgram))],
  ['what it was made of is not said', () => rmSync(join(folder, bundleInputs))],
  ['what it was made of is cut off', () => writeFileSync(join(folder, bundleInputs), '{"files":[')],
])('none is taken when %s', (_what, change) => {
  change();
  expect(freshBundle(folder)).toBeNull();
});
