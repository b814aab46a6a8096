import { loadBinding } from '@rowsmith/native';
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
  const binding = loadBinding();
  if (!isBinding(binding)) throw new EngineError('infra', 'tensorflow', 'the native addon has no operators');
  return new Runtime(binding);
}

function isBinding(binding: unknown): binding is TensorFlowBinding {
  return typeof binding === 'object' && binding !== null && 'executeOp' in binding;
}
