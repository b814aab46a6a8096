import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { lockClone } from './clone-lock.mjs';
import { addDemoModel, demoModelId, demoModelIsThere } from './demo-model.mjs';
import { linkPostgres, linksOfPostgres } from './embedded-postgres.mjs';
import { SetupFailure } from './failure.mjs';
import { ensureFusedKernels, ensureNativeParts } from './native-parts.mjs';
import { installModules, modulesMatchLockfile } from './node-modules.mjs';
import { cacheFolder } from './paths.mjs';
import { clientIsCurrent, generateClient } from './prisma-client.mjs';
import { checkRequirements } from './requirements.mjs';
import { seconds, stepDisplay } from './terminal.mjs';
import { bundleTrainerIfPossible } from './trainer-bundle.mjs';
import { buildTypeScript } from './typescript.mjs';

/**
 * Brings this clone to where everything runs. Every step looks first whether it is done. Throws SetupFailure.
 * @param {{ out?: NodeJS.WriteStream }} options
 */
export async function runSetup({ out = process.stdout } = {}) {
  const start = Date.now();
  out.write(`Set-up of Rowsmith (cache: ${cacheFolder()})\n`);
  const unlock = await lockClone((pid) => out.write(`  … waiting for another set-up of this clone (process ${pid})\n`));
  const unlockOnSignal = () => void unlock().then(() => process.exit(130));
  process.once('SIGINT', unlockOnSignal).once('SIGTERM', unlockOnSignal);
  try {
    await steps(out);
  } finally {
    process.off('SIGINT', unlockOnSignal).off('SIGTERM', unlockOnSignal);
    await unlock();
  }
  out.write(`Set up in ${seconds(Date.now() - start)}.\n\n`);
}

/** @param {NodeJS.WriteStream} out */
async function steps(out) {
  /** Runs `work`, which returns what it did, or null when there was nothing to do. */
  const step = async (name, work, whenDone = 'done already') => {
    const display = stepDisplay(name, out);
    try {
      const detail = await work(display.update);
      display.end(detail === null ? '-' : '✓', detail ?? whenDone);
    } catch (error) {
      display.end('✗', 'failed');
      throw error;
    }
  };
  const modulesAreThere = await modulesMatchLockfile();
  const cacheIsWarm = demoModelIsThere() && existsSync(join(cacheFolder(), 'native'));

  await step('requirements', () => checkRequirements({ modulesAreThere, cacheIsWarm }));
  await step('npm packages', (update) => (modulesAreThere ? null : installModules(update)), 'match package-lock.json');
  await step('database client', async () => ((await clientIsCurrent()) ? null : generateClient()));
  await step('TypeScript', buildTypeScript, 'everything is compiled');
  await step('trainer in one file', bundleTrainerIfPossible, 'made of the present modules');
  let libraryFolder = '';
  await step(
    'TensorFlow',
    async (update) => {
      const parts = await ensureNativeParts(update);
      libraryFolder = parts.libraryFolder;
      return parts.made;
    },
    'cached, verified by hash',
  );
  await step('fused operators', (update) => ensureFusedKernels(libraryFolder, update), 'cached, verified by hash');
  await step('embedded Postgres', async () => {
    const links = await linksOfPostgres();
    if (links === 'none') return 'none for this platform: set DATABASE_URL';
    return links === 'complete' ? null : linkPostgres();
  });
  await step('demo model', (update) => (demoModelIsThere() ? null : addDemoModel(update)), `${demoModelId} is in the cache`);
}

/** For the entry scripts: set-up, or its failure in words and exit status 1. */
export async function setUpOrExit() {
  try {
    await runSetup();
  } catch (error) {
    if (!(error instanceof SetupFailure)) throw error;
    process.stderr.write(`\nSet-up stopped: ${error.message}\n  Repair: ${error.repair}\n`);
    process.exit(1);
  }
}
