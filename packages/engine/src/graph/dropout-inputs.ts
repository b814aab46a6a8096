import type { RowPlan } from '../models/causal-lm.js';
import { weightPartsOf } from '../models/parts.js';
import { dropoutKey, type UpdateDropout } from '../models/update-path.js';
import type { Handle } from '../runtime/handle.js';
import type { Runtime } from '../runtime/runtime.js';

/**
 * What dropout on the update path changes from step to step, as inputs of a graph: the keys of the masks and the present updates. `within`: the same dropout
 * reading these inputs. In the caller's scope.
 */
export function dropoutInputs(
  runtime: Runtime,
  { modules }: RowPlan,
  dropout: UpdateDropout,
): { readonly inputs: ReadonlyMap<string, Handle>; readonly within: UpdateDropout } {
  const keys = new Map<string, Handle>();
  const updates = new Map<string, Handle>();
  for (const module of modules) {
    keys.set(module.name, runtime.upload(Int32Array.from(dropoutKey(dropout, module.name)), [2], 'i32'));
    for (const part of weightPartsOf(module)) updates.set(part.key, dropout.update(part));
  }
  const named = (kind: string, handles: ReadonlyMap<string, Handle>) =>
    [...handles].map(([name, handle]) => [`${kind} ${name}`, handle] as const);
  return {
    inputs: new Map([...named('key', keys), ...named('update', updates)]),
    within: {
      ...dropout,
      keyOf: (name) => keys.get(name) as Handle,
      update: ({ key }) => updates.get(key) as Handle,
    },
  };
}
