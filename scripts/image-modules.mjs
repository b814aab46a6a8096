/**
 * node scripts/image-modules.mjs apps/api /image: lays out a folder that runs the named apps and holds nothing else:
 * their production dependencies and the compiled rooms that these name. Used by the Dockerfiles, after set-up.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { commandLine } from './command-line.mjs';
import { root } from './setup/paths.mjs';

const {
  positionals: [names, target],
} = commandLine(import.meta.url, { names: ['<app>[,<app>...]', '<folder>'] });

const readManifest = (folder) => JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));

/** The named rooms and all rooms that they depend on, by folder. */
function closure(folders) {
  const wanted = new Set();
  const byName = new Map();
  for (const group of ['packages', 'apps']) {
    for (const name of readdirSync(join(root, group))) {
      if (existsSync(join(root, group, name, 'package.json'))) byName.set(readManifest(join(group, name)).name, join(group, name));
    }
  }
  const visit = (folder) => {
    if (wanted.has(folder)) return;
    wanted.add(folder);
    for (const dependency of Object.keys(readManifest(folder).dependencies ?? {})) {
      const next = byName.get(dependency);
      if (next) visit(next);
    }
  };
  for (const folder of folders) visit(folder);
  return [...wanted].sort();
}

const folders = closure(names.split(','));
mkdirSync(target, { recursive: true });
for (const name of ['package-lock.json', '.npmrc']) cpSync(join(root, name), join(target, name));
const manifest = { ...readManifest('.'), workspaces: folders, devDependencies: undefined };
writeFileSync(join(target, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
for (const folder of folders) {
  for (const part of ['package.json', 'dist', 'native', 'bin']) {
    const to = join(target, folder, part);
    // With their times: a bundle must not look older than the modules that it was made of.
    if (existsSync(join(root, folder, part))) cpSync(join(root, folder, part), to, { recursive: true, preserveTimestamps: true });
  }
}
if (folders.includes('packages/db')) {
  cpSync(join(root, 'prisma'), join(target, 'prisma'), { recursive: true });
  cpSync(join(root, 'scripts', 'migrate.mjs'), join(target, 'scripts', 'migrate.mjs'));
}

// `install` and not `ci`: the lockfile also names rooms that this image leaves out. Versions and hashes still come from it.
const npm = spawnSync('npm', ['install', '--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: target, stdio: 'inherit' });
if (npm.status !== 0) process.exit(npm.status ?? 1);

// The native parts that set-up put into the package of this clone.
for (const part of ['lib', 'deps']) {
  const from = join(root, 'node_modules', '@tensorflow', 'tfjs-node-gpu', part);
  const to = join(target, 'node_modules', '@tensorflow', 'tfjs-node-gpu', part);
  if (existsSync(dirname(to)) && existsSync(from)) cpSync(from, to, { recursive: true, verbatimSymlinks: true });
}
