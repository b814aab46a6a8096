/**
 * npm run setup: npm packages, database client, TypeScript, TensorFlow, compiled parts, embedded Postgres and the demo model; what is there already stays.
 */
import { commandLine } from './command-line.mjs';
import { requireNode } from './setup/node-version.mjs';

requireNode();
commandLine(import.meta.url);
const { setUpOrExit } = await import('./setup/run-setup.mjs');
await setUpOrExit();
