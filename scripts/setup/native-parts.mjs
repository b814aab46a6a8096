import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { SetupFailure } from './failure.mjs';
import { root } from './paths.mjs';

/** packages/native does the work; it is compiled just before. */
export const loadNative = () => import(pathToFileURL(join(root, 'packages', 'native', 'dist', 'index.js')).href);

/** Errors of packages/native carry their own repair. @param {unknown} error */
export function asFailure(error) {
  if (!(error instanceof Error) || typeof error.repair !== 'string') return error;
  return new SetupFailure(error.message.split('\n  Repair: ')[0], error.repair);
}

const labels = { download: 'downloading', unpack: 'unpacking', verify: 'verifying', compile: 'compiling', link: 'linking' };
const showOn = (update) => (p) => update({ message: `${labels[p.step]} ${p.message}`, done: p.done, total: p.total });

/** TensorFlow's library and the addon. `made` is null when nothing had to be done. @param {(state: { message: string, done?: number, total?: number }) => void} update */
export async function ensureNativeParts(update) {
  const { ensureNative } = await loadNative();
  try {
    const parts = await ensureNative({ progress: showOn(update), device: process.env.ROWSMITH_DEVICE === 'cuda' ? 'cuda' : 'cpu' });
    const words = { library: 'fetched', addon: 'addon compiled', links: 'put into this clone' };
    const made = parts.made.length > 0 ? `${parts.tensorflowVersion}, ${parts.made.map((m) => words[m]).join(', ')}` : null;
    return { made, libraryFolder: parts.libraryFolder };
  } catch (error) {
    throw asFailure(error);
  }
}

/** The C++ operators for this processor. They only save time, so a compiler that cannot build them does not stop set-up. @param {string} libraryFolder */
export async function ensureFusedKernels(libraryFolder, update) {
  const { ensureKernels } = await import(pathToFileURL(join(root, 'packages', 'kernels', 'dist', 'index.js')).href);
  try {
    const { made } = await ensureKernels({ libraryFolder, progress: showOn(update) });
    return made ? 'compiled for this processor' : null;
  } catch (error) {
    const failure = asFailure(error);
    if (!(failure instanceof SetupFailure)) throw error;
    return `left out, training uses stock operators (${failure.message.split('\n')[0]})`;
  }
}
