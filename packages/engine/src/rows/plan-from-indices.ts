import { EngineError } from '../errors.js';
import type { CausalLM, RowPlan } from '../models/causal-lm.js';

/** The plan of a checkpoint or a row-delta, without scoring again. Throws EngineError `checkpoint_mismatch` for a linear the model lacks. */
export function planFromIndices(model: CausalLM, indices: ReadonlyMap<string, Int32Array>): RowPlan {
  const names = new Set(model.linears.map(({ name }) => name));
  for (const name of indices.keys())
    if (!names.has(name)) throw new EngineError('infra', 'checkpoint_mismatch', `the model has no linear called ${name}`);
  const modules = model.linears.flatMap((linear) => {
    const rows = indices.get(linear.name);
    return rows ? [{ ...linear, indices: rows }] : [];
  });
  return { modules };
}
