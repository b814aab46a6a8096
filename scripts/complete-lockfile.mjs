/**
 * node scripts/complete-lockfile.mjs: run after `npm install` changed package-lock.json.
 * A mirror that lacks the binaries of other platforms makes npm leave their entries out, and `npm ci` then refuses the lockfile everywhere.
 * This writes the missing optional entries from what their parents name; they carry no hash, since nobody here could see the files.
 */
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { commandLine } from './command-line.mjs';
import { root } from './setup/paths.mjs';

commandLine(import.meta.url);
const systems = { android: 'android', darwin: 'darwin', freebsd: 'freebsd', linux: 'linux', openharmony: 'openharmony', win32: 'win32' };
const processors = ['arm64', 'arm', 'x64', 'ia32', 'ppc64', 'riscv64', 's390x'];

/** `@oxc-parser/binding-linux-arm-musleabihf` is for linux, arm, musl. @param {string} name */
function platformOf(name) {
  const words = name.split(/[-/]/);
  const os = words.map((word) => systems[word]).find(Boolean);
  const cpu = processors.find((processor) => words.includes(processor));
  if (!os || !cpu) throw new Error(`${name} does not tell its platform: add its entry by hand`);
  const libc = words.some((word) => word.startsWith('musl'))
    ? ['musl']
    : words.some((word) => word.startsWith('gnu'))
      ? ['glibc']
      : undefined;
  return { cpu: [cpu], ...(libc ? { libc } : {}), os: [os] };
}

/** Where Node.js would find `name` from `path`, or null. */
function resolve(packages, path, name) {
  const segments = path.split('/node_modules/');
  for (let depth = segments.length; depth > 0; depth--) {
    const candidate = `${segments.slice(0, depth).join('/node_modules/')}/node_modules/${name}`;
    if (packages[candidate]) return candidate;
  }
  return packages[`node_modules/${name}`] ? `node_modules/${name}` : null;
}

const path = join(root, 'package-lock.json');
const lock = JSON.parse(await readFile(path, 'utf8'));
const added = {};
for (const [parentPath, parent] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
    if (resolve(lock.packages, parentPath, name)) continue;
    if (!/^\d/.test(version)) throw new Error(`${name} is wanted as ${version}, not as one version: add its entry by hand`);
    added[`node_modules/${name}`] = { version, ...(parent.dev ? { dev: true } : {}), optional: true, ...platformOf(name) };
  }
}
const entries = Object.entries({ ...lock.packages, ...added }).sort(([a], [b]) => a.localeCompare(b, 'en'));
lock.packages = Object.fromEntries(entries);
await writeFile(`${path}.new`, `${JSON.stringify(lock, null, 2)}\n`);
await rename(`${path}.new`, path);
process.stdout.write(`${Object.keys(added).length} entries added to package-lock.json\n`);
