/**
 * npm run fuzz -- [--examples 50] [--seconds 600] [--seed 1] [--paths REGEX]: schemathesis against a running server over its own OpenAPI document, every route
 * of it. Fails on any 5xx, any status, content type or body that the document does not declare. Installs schemathesis into the cache on first use.
 */
import { fuzz, fuzzPython } from '../apps/api/dist/testing/fuzz.js';
import { openTestApi } from '../apps/api/dist/testing/test-api.js';
import { commandLine } from './command-line.mjs';

const { values } = commandLine(import.meta.url, {
  options: {
    examples: { type: 'string', default: '50' },
    seconds: { type: 'string', default: '600' },
    seed: { type: 'string', default: '1' },
    paths: { type: 'string' },
  },
});
const python = await fuzzPython();
const api = await openTestApi({ listen: true });
try {
  process.exitCode = await fuzz(python, api, {
    ...{ examples: Number(values.examples), seconds: Number(values.seconds), seed: Number(values.seed) },
    ...(values.paths === undefined ? {} : { paths: values.paths }),
    onOutput: (text) => process.stdout.write(text),
  });
} finally {
  await api.close();
}
