import { createRequire } from 'node:module';
import { join } from 'node:path';
import { applyEnvironment, trainerEnvironment } from './environment.js';
import { NativeError } from './errors.js';
import { findInstalledPackages } from './installed-packages.js';
import { addonPath, missingPart } from './package-parts.js';
import { startAddon } from './start-addon.js';

let loaded: unknown;

/**
 * The addon that connects Node.js with TensorFlow, without tfjs's own JavaScript, which costs 0.2 s of processor time and which an engine on handles does not
 * use. The one that `loadTensorFlow` uses: both may be called in a process. Only for trainers and tests: its calls block the event loop.
 * Throws NativeError `native_not_set_up` when the native parts are missing, `load_failed` when the library cannot be loaded.
 */
export function loadBinding(): unknown {
  loaded ??= load();
  return loaded;
}

function load(): unknown {
  const { tfjs } = findInstalledPackages();
  const missing = missingPart(tfjs);
  if (missing) throw new NativeError('native_not_set_up', `TensorFlow is not set up: ${missing} is missing`, 'run `npm run setup`');
  applyEnvironment(trainerEnvironment());
  try {
    startAddon()?.guardSignals();
    return createRequire(import.meta.url)(join(tfjs, addonPath));
  } catch (error) {
    throw loadFailed(error);
  }
}

export function loadFailed(error: unknown): NativeError {
  const reason = error instanceof Error ? error.message : String(error);
  const repair = 'run `npm run setup`, which verifies and repairs the native parts';
  return new NativeError('load_failed', `TensorFlow could not be loaded: ${reason}`, repair, error);
}
