import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { SetupFailure } from './failure.mjs';
import { root } from './paths.mjs';
import { runProgram, tail } from './run-program.mjs';

const lockPath = join(root, 'package-lock.json');
const pollMs = 500;

/** @param {string} path */
const readPackages = async (path) => JSON.parse(await readFile(path, 'utf8')).packages;
/** Packages that come from the registry, not from this repository. @param {Record<string, { link?: boolean }>} packages */
const fetched = (packages) => Object.entries(packages).filter(([path, entry]) => path.includes('node_modules/') && !entry.link);

/** Does what npm says it installed equal the lockfile? Optional packages of other platforms may be absent. */
export async function modulesMatchLockfile() {
  const installed = await readPackages(join(root, 'node_modules', '.package-lock.json')).catch(() => null);
  if (installed === null) return false;
  const locked = await readPackages(lockPath);
  return fetched(locked).every(([path, entry]) => {
    const here = installed[path];
    if (!here) return entry.optional === true || entry.devOptional === true;
    return here.version === entry.version && here.integrity === entry.integrity;
  });
}

/** @param {(state: { message: string, done?: number, total?: number }) => void} update */
export async function installModules(update) {
  const expected = fetched(await readPackages(lockPath)).filter(([, entry]) => !entry.optional);
  const message = 'npm ci --ignore-scripts';
  const timer = setInterval(() => {
    const done = expected.filter(([path]) => existsSync(join(root, path, 'package.json'))).length;
    update({ message, done, total: expected.length });
  }, pollMs);
  try {
    const [command, args] = npmCommand(['ci', '--ignore-scripts', '--no-audit', '--no-fund']);
    const result = await runProgram(command, args, { cwd: root });
    if (result.status !== 0) throw npmFailure({ ...result, output: errorLines(result.output) });
  } finally {
    clearInterval(timer);
  }
  return `installed ${expected.length} packages as package-lock.json names them`;
}

/** The npm that started us, else the one beside this Node.js, else the one on the path. @param {string[]} args @returns {[string, string[]]} */
function npmCommand(args) {
  const beside = join(dirname(process.execPath), '..', 'lib', 'node_modules', 'npm', 'bin', 'npm-cli.js');
  const script = [process.env.npm_execpath, beside].find((path) => path?.endsWith('.js') && existsSync(path));
  return script ? [process.execPath, [script, ...args]] : ['npm', args];
}

/** npm ends with pages of usage; what went wrong stands first. @param {string} output */
const errorLines = (output) => {
  const lines = output.split('\n').filter((line) => /^npm error ./i.test(line));
  return lines.length > 0 ? lines.slice(0, 12).join('\n') : output;
};

function npmFailure({ status, output }) {
  if (status === null) return new SetupFailure('npm was not found', 'install Node.js with npm');
  if (/ENOSPC/.test(output)) return new SetupFailure('no disk space left for node_modules', 'free about 1 GB and run the set-up again');
  if (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH/.test(output)) {
    return new SetupFailure(
      `npm could not reach its registry:\n${tail(output)}`,
      'connect to the internet (or configure a mirror: npm config set registry ...) and run the set-up again',
    );
  }
  return new SetupFailure(
    `npm ci failed:\n${tail(output)}`,
    'see the message above; if package-lock.json was edited, run `npm install --ignore-scripts` once',
  );
}
