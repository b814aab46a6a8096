/** A short, seeded run of `npm run fuzz`: the edges of every schema and one draw for each route of /v1 (the short paths have the same handlers). */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fuzz, fuzzPython } from './testing/fuzz.js';
import { openTestApi, type TestApi } from './testing/test-api.js';

let api: TestApi;
let python = '';
beforeAll(async () => {
  python = await fuzzPython();
  api = await openTestApi({ listen: true });
}, 300_000);
afterAll(() => api.close());

test('no route answers with a 5xx, or with what the OpenAPI document does not declare', async () => {
  let output = '';
  const exit = await fuzz(python, api, {
    ...{ examples: 1, seconds: 30, seed: 1, phases: ['coverage', 'fuzzing'], paths: '^/v1' },
    onOutput: (text) => {
      output += text;
    },
  });
  expect(exit, output).toBe(0);
  // It did look.
  expect(Number(/(\d+) generated/.exec(output)?.[1])).toBeGreaterThan(100);
}, 180_000);
