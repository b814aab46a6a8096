import type { RowDelta } from '@rowsmith/contracts';
import type { Engine } from '../engine.js';
import { EngineError } from '../errors.js';
import type { CausalLM, RowModule } from '../models/causal-lm.js';
import { planFromIndices } from './plan-from-indices.js';

/** Rows of a linear as the model holds them. Key: name of the linear; [r, in] f32. */
export type RowValues = ReadonlyMap<string, Float32Array>;

/** What `removeRows` needs to undo `applyRows`. */
export interface AppliedRows {
  readonly modules: readonly RowModule[];
  readonly base: RowValues;
}

/**
 * Makes a base model the tuned one, in place: W[s_k] = f32(W[s_k] + D[k]), the same bits that training held.
 * Throws EngineError `checkpoint_mismatch` before anything is written when a module does not fit the model.
 */
export function applyRows(engine: Engine, model: CausalLM, delta: RowDelta): AppliedRows {
  const { modules } = planFromIndices(model, new Map(Array.from(delta, ([name, { indices }]) => [name, indices])));
  for (const { name, inFeatures, outFeatures } of modules) {
    const rows = delta.get(name);
    if (rows?.inFeatures !== inFeatures || rows.outFeatures !== outFeatures || rows.delta.length !== rows.indices.length * inFeatures)
      throw new EngineError(
        'infra',
        'checkpoint_mismatch',
        `${name} is [${outFeatures}, ${inFeatures}] here; the rows are of another shape`,
      );
  }
  const base = new Map(modules.map((module) => [module.name, model.readRows(module, module.indices)]));
  for (const module of modules) {
    const update = delta.get(module.name)?.delta ?? new Float32Array(0);
    // The sum of two f32 in f64, rounded once more to f32, is the f32 sum.
    const tuned = (base.get(module.name) as Float32Array).map((value, i) => value + (update[i] as number));
    overwrite(engine, model, module, tuned);
  }
  return { modules, base };
}

/** Restores the base, bit for bit. */
export function removeRows(engine: Engine, model: CausalLM, { modules, base }: AppliedRows): void {
  for (const module of modules) overwrite(engine, model, module, base.get(module.name) as Float32Array);
}

/** The present rows of every module of `delta`: what an export must equal. */
export function effectiveRows(model: CausalLM, delta: RowDelta): RowValues {
  const { modules } = planFromIndices(model, new Map(Array.from(delta, ([name, { indices }]) => [name, indices])));
  return new Map(modules.map((module) => [module.name, model.readRows(module, module.indices)]));
}

function overwrite({ ops }: Engine, model: CausalLM, module: RowModule, rows: Float32Array): void {
  const { runtime } = ops;
  runtime.scope(() => {
    model.writeRows(module, module.indices, runtime.upload(rows, [module.indices.length, module.inFeatures], 'f32', true));
  });
}
