/** npm start: set-up, then `rowsmith up`. Arguments go to it: npm start -- --port 9000 */
import { requireNode } from './setup/node-version.mjs';

requireNode();
const { setUpOrExit } = await import('./setup/run-setup.mjs');
const { runTool } = await import('./setup/run-tool.mjs');
await setUpOrExit();
process.exitCode = await runTool(['apps/cli/bin/rowsmith.js', 'up', ...process.argv.slice(2)]);
