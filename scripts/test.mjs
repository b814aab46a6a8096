/**
 * npm test: set-up, then every test with one summary. Arguments go to vitest: npm test -- --project unit packages/hf
 */
import { requireNode } from './setup/node-version.mjs';

requireNode();
const { setUpOrExit } = await import('./setup/run-setup.mjs');
const { runTests } = await import('./setup/run-tests.mjs');
await setUpOrExit();
process.exitCode = await runTests(process.argv.slice(2));
