import { createRequire } from 'node:module';
import util from 'node:util';
import { loadBinding, loadFailed } from './load-binding.js';

export type TensorFlow = typeof import('@tensorflow/tfjs-node-gpu');

let loading: Promise<TensorFlow> | undefined;

/**
 * TensorFlow with tfjs's own operators, once in a process (about 0.5 s and 250 MB); the engine takes `loadBinding`. Only for tests and tools: its calls block the event loop.
 * Throws NativeError `native_not_set_up` when the native parts are missing, `load_failed` when the library cannot be loaded.
 */
export function loadTensorFlow(): Promise<TensorFlow> {
  loading ??= load();
  return loading;
}

async function load(): Promise<TensorFlow> {
  loadBinding();
  restoreRemovedUtil();
  try {
    const tf = createRequire(import.meta.url)('@tensorflow/tfjs-node-gpu') as TensorFlow;
    await tf.ready();
    return tf;
  } catch (error) {
    throw loadFailed(error);
  }
}

/** Node 23 removed two functions that tfjs-node 4.22 still calls. */
function restoreRemovedUtil(): void {
  const legacy = util as unknown as Record<string, unknown>;
  legacy['isNullOrUndefined'] ??= (value: unknown) => value === null || value === undefined;
  legacy['isArray'] ??= Array.isArray;
}
