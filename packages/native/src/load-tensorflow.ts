import { createRequire } from 'node:module';
import util from 'node:util';
import { applyEnvironment, trainerEnvironment } from './environment.js';
import { NativeError } from './errors.js';
import { findInstalledPackages } from './installed-packages.js';
import { missingPart } from './package-parts.js';

export type TensorFlow = typeof import('@tensorflow/tfjs-node-gpu');

let loading: Promise<TensorFlow> | undefined;

/**
 * Loads TensorFlow into this process, once (about 0.5 s and 250 MB). Only for trainers and tests: its calls block the event loop.
 * Throws NativeError `native_not_set_up` when the native parts are missing, `load_failed` when the library cannot be loaded.
 */
export function loadTensorFlow(): Promise<TensorFlow> {
  loading ??= load();
  return loading;
}

async function load(): Promise<TensorFlow> {
  const missing = missingPart(findInstalledPackages().tfjs);
  if (missing) throw new NativeError('native_not_set_up', `TensorFlow is not set up: ${missing} is missing`, 'run `npm run setup`');
  applyEnvironment(trainerEnvironment());
  restoreRemovedUtil();
  try {
    const tf = createRequire(import.meta.url)('@tensorflow/tfjs-node-gpu') as TensorFlow;
    await tf.ready();
    return tf;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new NativeError(
      'load_failed',
      `TensorFlow could not be loaded: ${reason}`,
      'run `npm run setup`, which verifies and repairs the native parts',
      error,
    );
  }
}

/** Node 23 removed two functions that tfjs-node 4.22 still calls. */
function restoreRemovedUtil(): void {
  const legacy = util as unknown as Record<string, unknown>;
  legacy['isNullOrUndefined'] ??= (value: unknown) => value === null || value === undefined;
  legacy['isArray'] ??= Array.isArray;
}
