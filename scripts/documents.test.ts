/** Files that the documents name are there. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const documents = [
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  'infra/README.md',
  'bench/README.md',
  ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`),
].filter((path) => path.endsWith('.md'));
/** `a/{b,c}.ts` names two. */
const alternatives = (path: string): string[] => {
  const [, before = '', inside, after = ''] = /^([^{]*)\{([^}]*)\}(.*)$/.exec(path) ?? [];
  return inside === undefined ? [path] : inside.split(',').map((one) => `${before}${one}${after}`);
};

test.each(documents)('%s', (document) => {
  const text = readFileSync(join(root, document), 'utf8');
  const named = [...text.matchAll(/`((?:apps|packages|e2e|scripts|bench|infra|docs|examples|prisma|\.ci)\/[\w./{},-]+)`/g)].flatMap(
    ([, path]) => alternatives(path ?? ''),
  );
  // What a command writes is not there yet.
  const missing = named.filter((path) => !existsSync(join(root, path)) && !path.startsWith('bench/results/'));
  const links = [...text.matchAll(/\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)/g)].map(([, path]) => join(dirname(document), path ?? ''));
  expect([...missing, ...links.filter((path) => !existsSync(join(root, path)))]).toEqual([]);
});
