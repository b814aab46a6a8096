import { readFile } from 'node:fs/promises';
import openapiTS, { astToString, COMMENT_HEADER } from 'openapi-typescript';
import { expect, test } from 'vitest';

test('the generated types are those of the committed OpenAPI document', async () => {
  const document = new URL('../../../apps/api/openapi.json', import.meta.url);
  const committed = await readFile(new URL('generated/api.ts', import.meta.url), 'utf8');
  expect(COMMENT_HEADER + astToString(await openapiTS(document))).toBe(committed);
}, 30_000);
