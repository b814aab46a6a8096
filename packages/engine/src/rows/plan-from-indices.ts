import type { CheckpointState } from '@rowsmith/contracts';
import { EngineError } from '../errors.js';
import type { RowPlan, TrainableModel } from '../models/causal-lm.js';

/** The plan of a checkpoint or a row-delta, without scoring again. Throws EngineError `checkpoint_mismatch` for a linear the model lacks. */
export function planFromIndices(
  model: TrainableModel,
  indices: ReadonlyMap<string, Int32Array>,
  columns: ReadonlyMap<string, Int32Array> = new Map(),
  biases: readonly string[] = [],
): RowPlan {
  const names = new Set(model.linears.map(({ name }) => name));
  for (const name of [...indices.keys(), ...columns.keys()])
    if (!names.has(name)) throw new EngineError('infra', 'checkpoint_mismatch', `the model has no linear called ${name}`);
  const modules = model.linears.flatMap((linear) => {
    const rows = indices.get(linear.name);
    const chosen = columns.get(linear.name);
    if (!rows && !chosen) return [];
    const trainsBiases = biases.includes(linear.name);
    if (trainsBiases && !linear.bias) throw new EngineError('infra', 'checkpoint_mismatch', `${linear.name} has no bias`);
    return [{ ...linear, indices: rows ?? new Int32Array(0), ...(chosen && { columns: chosen }), ...(trainsBiases && { biases: true }) }];
  });
  return { modules };
}

/** What of a plan a checkpoint names, in the plan's order: see CheckpointState. */
export function indicesOf({ modules }: RowPlan): Pick<CheckpointState, 'indices' | 'columns' | 'biases'> {
  const indices = new Map(modules.flatMap((module) => (module.indices.length > 0 ? [[module.name, module.indices] as const] : [])));
  const columns = new Map(modules.flatMap((module) => (module.columns?.length ? [[module.name, module.columns] as const] : [])));
  const biases = modules.flatMap((module) => (module.biases ? [module.name] : []));
  return { indices, ...(columns.size > 0 && { columns }), ...(biases.length > 0 && { biases }) };
}
