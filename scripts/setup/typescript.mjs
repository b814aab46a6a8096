import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SetupFailure } from './failure.mjs';
import { root } from './paths.mjs';
import { runProgram, tail } from './run-program.mjs';

/**
 * `tsc -b`: compiles what changed. Returns null when everything was up to date.
 * @param {(state: { message: string, done?: number, total?: number }) => void} update
 * @param {string[]} projects folders; none: all of them
 */
export async function buildTypeScript(update, projects = []) {
  const { references } = JSON.parse(await readFile(join(root, 'tsconfig.json'), 'utf8'));
  const total = projects.length || references.length;
  let seen = 0;
  let built = 0;
  const onLine = (line) => {
    if (/Building project/.test(line)) built++;
    if (/Building project|is up to date/.test(line)) update({ message: 'tsc -b', done: seen++, total });
  };
  const result = await runProgram(
    process.execPath,
    [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-b', '--verbose', ...projects],
    { cwd: root, onLine },
  );
  if (result.status !== 0) {
    const errors = result.output.split('\n').filter((line) => /error TS|^ {2}/.test(line) && !/^ {4}\* /.test(line));
    throw new SetupFailure(
      `the TypeScript sources do not compile:\n${tail(errors.join('\n'), 30)}`,
      'correct them, or go back to a released commit',
    );
  }
  return built === 0 ? null : `compiled ${built} of ${total} packages`;
}
