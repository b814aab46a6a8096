/** npm run quickstart: set-up, then a real model fine-tuned before your eyes. */
import { requireNode } from './setup/node-version.mjs';

requireNode();
const { setUpOrExit } = await import('./setup/run-setup.mjs');
const { runTool } = await import('./setup/run-tool.mjs');
await setUpOrExit();
process.exitCode = await runTool(['apps/cli/dist/quickstart/main.js', ...process.argv.slice(2)]);
