import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { describe } from './openapi-document.js';

type Operation = {
  responses: Record<string, unknown>;
  parameters?: { name: string; in: string }[];
  security?: unknown[];
  requestBody?: unknown;
};
type Document = { openapi: string; paths: Record<string, Record<string, Operation>>; components: { schemas: Record<string, unknown> } };
const document = (await describe()) as unknown as Document;

test('the committed openapi.json is what the routes say (npm run openapi -w apps/api writes it)', async () => {
  const committed = JSON.parse(await readFile(new URL('../openapi.json', import.meta.url), 'utf8'));
  expect(document).toEqual(committed);
});

test('every route has its twin under the other prefix', () => {
  const twin = (path: string) =>
    path.startsWith('/v1/fine_tuning/jobs') ? path.replace('/v1/fine_tuning/jobs', '/jobs') : path.replace(/^\/v1/, '');
  const paths = Object.keys(document.paths);
  const long = paths.filter((path) => path.startsWith('/v1/'));
  expect(long.length).toBeGreaterThan(10);
  for (const path of long) expect(document.paths[twin(path)]).toEqual(document.paths[path]);
});

test('the table of docs/openai-compatibility.md has every route, and no other', async () => {
  const text = await readFile(new URL('../../../docs/openai-compatibility.md', import.meta.url), 'utf8');
  const cells = text.split('\n').flatMap((line) => (line.startsWith('| ') ? [line.split(' | ')[0] ?? ''] : []));
  const told = cells.flatMap((cell) => [...cell.matchAll(/`([A-Z]+ \/[^`]*)`/g)].map(([, route]) => route ?? ''));
  const long = Object.entries(document.paths).filter(([path]) => path.startsWith('/v1/') || document.paths[`/v1${path}`] === undefined);
  const routes = long
    .filter(([path]) => !path.startsWith('/jobs'))
    .flatMap(([path, operations]) => Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`));
  expect(told.toSorted()).toEqual(routes.toSorted());
});

test('every operation declares the failures it can have', () => {
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const declared = Object.keys(operation.responses);
      const wanted = operation.security?.length === 0 ? ['200'] : ['200', '400', '401', '429', '500', '503'];
      if (path.includes('{')) wanted.push('404');
      if (operation.requestBody !== undefined) wanted.push('413', '415');
      expect({ path, method, declared }).toEqual({ path, method, declared: expect.arrayContaining(wanted) });
      const pathParameters = (operation.parameters ?? []).filter((p) => p.in === 'path').map((p) => `{${p.name}}`);
      expect(pathParameters).toEqual(path.match(/\{\w+\}/g) ?? []);
    }
  }
});

test('references lead somewhere, and the dialect is 3.1', () => {
  expect(document.openapi).toBe('3.1.0');
  const text = JSON.stringify(document);
  const references = new Set([...text.matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)].map((m) => m[1] ?? ''));
  expect(references.size).toBeGreaterThan(7);
  for (const name of references) expect(Object.keys(document.components.schemas)).toContain(name);
  expect(text).not.toMatch(/"\$ref":"(?!#\/components)/);
  expect(text).not.toContain('"nullable"');
  expect(text).not.toContain('"items":[');
});
