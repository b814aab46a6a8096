import { loadTensorFlow } from '@rowsmith/native';
import { EngineError } from '../errors.js';
import type { TensorFlowBinding } from './binding.js';
import { Runtime } from './runtime.js';

let opened: Promise<Runtime> | undefined;

/** The one runtime of this process; the first call loads TensorFlow. Never in a process that answers HTTP: operators block its event loop. */
export function openRuntime(): Promise<Runtime> {
  opened ??= open();
  return opened;
}

async function open(): Promise<Runtime> {
  const tf = await loadTensorFlow();
  const backend: unknown = tf.backend();
  if (!hasBinding(backend)) throw new EngineError('infra', 'tensorflow', 'the active tfjs backend has no native binding');
  return new Runtime(backend.binding);
}

function hasBinding(backend: unknown): backend is { readonly binding: TensorFlowBinding } {
  return typeof backend === 'object' && backend !== null && 'binding' in backend && typeof backend.binding === 'object';
}
