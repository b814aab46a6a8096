/**
 * npm run check: set-up (which compiles, so types), format, lint, import rules, dead code, then all tests.
 * `--no-tests` leaves the tests out. All checks run even if one fails, so that one run shows everything.
 */
import { commandLine } from './command-line.mjs';
import { requireNode } from './setup/node-version.mjs';

requireNode();
const { values } = commandLine(import.meta.url, { options: { 'no-tests': { type: 'boolean', default: false } } });
const { setUpOrExit } = await import('./setup/run-setup.mjs');
const { runTool, tool } = await import('./setup/run-tool.mjs');
const { runTests } = await import('./setup/run-tests.mjs');
const { seconds } = await import('./setup/terminal.mjs');
const withTests = !values['no-tests'];

const checks = [
  ['format', [tool('@biomejs/biome/bin/biome'), 'format', '.']],
  ['lint', [tool('@biomejs/biome/bin/biome'), 'lint', '--error-on-warnings', '.']],
  ['types outside the packages', [tool('typescript/bin/tsc'), '--noEmit', '-p', 'e2e']],
  [
    'cycles and import rules',
    [tool('dependency-cruiser/bin/dependency-cruise.mjs'), '--config', '.dependency-cruiser.cjs', 'packages', 'apps'],
  ],
  ['dead code', [tool('knip/bin/knip.js'), '--no-config-hints']],
];

await setUpOrExit();
const failed = [];
for (const [name, args] of checks) {
  const start = Date.now();
  process.stdout.write(`\n── ${name}\n`);
  const status = await runTool(args);
  process.stdout.write(`${status === 0 ? '✓' : '✗'} ${name} (${seconds(Date.now() - start)})\n`);
  if (status !== 0) failed.push(name);
}
if (withTests) {
  process.stdout.write('\n── tests\n');
  if ((await runTests([])) !== 0) failed.push('tests');
}
process.stdout.write(failed.length === 0 ? '\nEvery check passed.\n' : `\nFailed: ${failed.join(', ')}.\n`);
process.exitCode = failed.length === 0 ? 0 : 1;
