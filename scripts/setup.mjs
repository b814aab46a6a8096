/** npm run setup */
import { requireNode } from './setup/node-version.mjs';

requireNode();
const { setUpOrExit } = await import('./setup/run-setup.mjs');
await setUpOrExit();
