import { runTool, tool } from './run-tool.mjs';

/** Unit, engine, integration and end-to-end tests, as vitest.config.ts divides them. Returns the exit status. @param {string[]} args */
export const runTests = (args) => runTool([tool('vitest/vitest.mjs'), 'run', ...args]);
