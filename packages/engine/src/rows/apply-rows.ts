import type { ModuleRows, RowDelta } from '@rowsmith/contracts';
import type { Engine } from '../engine.js';
import { EngineError } from '../errors.js';
import type { RowPlan, TrainableModel } from '../models/causal-lm.js';
import { partsOf, readPart, type TrainedPart, writePart } from '../models/parts.js';
import { planFromIndices } from './plan-from-indices.js';

/** Rows [r, in], transposed columns [c, out] and biases [r] as the model holds them, f32. Keys: the linear's name, `columnsKey` and `biasesKey` of it. */
export type RowValues = ReadonlyMap<string, Float32Array>;

/** What `removeRows` needs to undo `applyRows`. */
export interface AppliedRows {
  readonly parts: readonly TrainedPart[];
  readonly base: RowValues;
}

/**
 * Makes a base model the tuned one, in place: W[s_k] = f32(W[s_k] + D[k]), likewise columns, f32(W + f32(D + E)) where they cross: the same bits
 * that training held. Throws EngineError `checkpoint_mismatch` before anything is written when a module does not fit the model.
 */
export function applyRows(engine: Engine, model: TrainableModel, delta: RowDelta): AppliedRows {
  const plan = planOf(model, delta);
  for (const { name, inFeatures, outFeatures } of plan.modules)
    if (!fits(delta.get(name), inFeatures, outFeatures))
      throw new EngineError(
        'infra',
        'checkpoint_mismatch',
        `${name} is [${outFeatures}, ${inFeatures}] here; the rows are of another shape`,
      );
  const parts = plan.modules.flatMap(partsOf);
  const base = valuesOf(model, parts);
  // Rows, then columns: the crossings are written last, with the sum of both updates.
  for (const axis of ['rows', 'biases', 'columns'] as const)
    for (const part of parts) {
      if (part.axis !== axis) continue;
      const update = updateOf(part, delta.get(part.module.name) as ModuleRows);
      // The sum of two f32 in f64, rounded once more to f32, is the f32 sum.
      overwrite(
        engine,
        model,
        part,
        (base.get(part.key) as Float32Array).map((value, i) => value + (update[i] as number)),
      );
    }
  return { parts, base };
}

/** Restores the base, bit for bit. */
export function removeRows(engine: Engine, model: TrainableModel, { parts, base }: AppliedRows): void {
  for (const part of parts) overwrite(engine, model, part, base.get(part.key) as Float32Array);
  model.forgetWritten();
}

/** The present rows and columns of every module of `delta`: what an export must equal. */
export function effectiveRows(model: TrainableModel, delta: RowDelta): RowValues {
  return valuesOf(model, planOf(model, delta).modules.flatMap(partsOf));
}

function planOf(model: TrainableModel, delta: RowDelta): RowPlan {
  const rows = [...delta].flatMap(([name, { indices }]) => (indices.length > 0 ? [[name, indices] as const] : []));
  const columns = [...delta].flatMap(([name, { columns }]) => (columns?.length ? [[name, columns] as const] : []));
  const biases = [...delta].flatMap(([name, { biasDelta }]) => (biasDelta ? [name] : []));
  return planFromIndices(model, new Map(rows), new Map(columns), biases);
}

function fits(rows: ModuleRows | undefined, inFeatures: number, outFeatures: number): boolean {
  return (
    rows?.inFeatures === inFeatures &&
    rows.outFeatures === outFeatures &&
    rows.delta.length === rows.indices.length * inFeatures &&
    (rows.biasDelta === undefined || rows.biasDelta.length === rows.indices.length) &&
    (rows.columnDelta?.length ?? 0) === (rows.columns?.length ?? 0) * outFeatures
  );
}

/** D, or E^T with D added where they cross. */
function updateOf({ axis, module, ids }: TrainedPart, { indices, delta, columnDelta, biasDelta }: ModuleRows): Float32Array {
  if (axis === 'rows') return delta;
  if (axis === 'biases') return biasDelta ?? new Float32Array(0);
  const { inFeatures, outFeatures } = module;
  const update = Float32Array.from(columnDelta ?? []);
  ids.forEach((column, l) => {
    indices.forEach((row, k) => {
      const at = l * outFeatures + row;
      update[at] = (update[at] as number) + (delta[k * inFeatures + column] as number);
    });
  });
  return update;
}

function valuesOf(model: TrainableModel, parts: readonly TrainedPart[]): RowValues {
  return new Map(parts.map((part) => [part.key, readPart(model, part)]));
}

function overwrite({ ops }: Engine, model: TrainableModel, part: TrainedPart, values: Float32Array): void {
  const { runtime } = ops;
  runtime.scope(() => writePart(model, part, runtime.upload(values, [part.ids.length, part.width], 'f32', true)));
}
