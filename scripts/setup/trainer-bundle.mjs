import { existsSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { isAbsolute, join, relative, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from './paths.mjs';

/**
 * Not in the bundle: addons and what finds its own files by its place (native, kernels); packages of one file or rarely needed, which would gain nothing.
 * Their imports are dropped where nothing of them is used.
 */
const bundledPackages = ['typebox'];
const separateRooms = ['@rowsmith/native', '@rowsmith/kernels'];

/**
 * One file of all modules of the trainer that are compiled to `dist`, with a source map. Returns null when there is one of the modules as they are.
 * The trainer takes it only then, so whoever compiles without this loses time and nothing else.
 */
export async function bundleTrainer() {
  const dist = join(root, 'apps', 'trainer', 'dist');
  const { bundleInputs, bundleProgram, freshBundle } = await import(pathToFileURL(join(dist, 'bundle.js')).href);
  const folder = join(dist, 'bundle');
  if (freshBundle(folder) !== null) return null;

  // What is compiled from now on is newer than the bundle.
  const begun = new Date();
  const { rolldown } = await import('rolldown');
  const build = await rolldown({
    input: join(dist, bundleProgram),
    platform: 'node',
    treeshake: { moduleSideEffects: (id, external) => !external || id.startsWith('node:') },
    external: (id) =>
      !id.startsWith('.') &&
      !id.startsWith('/') &&
      !bundledPackages.some((name) => id === name || id.startsWith(`${name}/`)) &&
      (!id.startsWith('@rowsmith/') || separateRooms.includes(id)),
  });
  const { output } = await build.write({ dir: folder, format: 'esm', sourcemap: true, chunkFileNames: '[name].js', cleanDir: true });
  await build.close();

  const modules = output.flatMap((chunk) => (chunk.type === 'chunk' ? chunk.moduleIds : []));
  const isFile = (id) => isAbsolute(id) && existsSync(id);
  const inPackage = `${sep}node_modules${sep}`;
  const path = (file) => relative(folder, file);
  const files = modules.filter((id) => isFile(id) && !id.includes(inPackage)).map((id) => [path(id), statSync(id).size]);
  const packages = bundledPackages.map((name) => {
    const manifest = join(root, 'node_modules', name, 'package.json');
    return [path(manifest), JSON.parse(readFileSync(manifest, 'utf8')).version];
  });
  writeFileSync(join(folder, bundleInputs), JSON.stringify({ files, packages }));
  utimesSync(join(folder, bundleProgram), begun, begun);
  const strays = modules.filter(
    (id) => id.includes(inPackage) && !bundledPackages.some((name) => id.includes(`${inPackage}${name}${sep}`)),
  );
  if (strays.length > 0) throw new Error(`the bundle has a package that it does not watch: ${strays[0]}`);
  return `${files.length} modules in one file`;
}

/** For set-up: a bundle only saves time, so what stops it does not stop set-up. */
export async function bundleTrainerIfPossible() {
  try {
    return await bundleTrainer();
  } catch (error) {
    return `left out, trainers start slower (${String(error).split('\n')[0]})`;
  }
}
