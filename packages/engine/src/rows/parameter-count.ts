import type { RowPlan } from '../models/causal-lm.js';

/** Trainable parameters: sum of r x in over the modules. LoRA of rank r has r (in + out) each. */
export function trainableParameters(plan: RowPlan): number {
  return plan.modules.reduce((sum, { indices, inFeatures }) => sum + indices.length * inFeatures, 0);
}

export function selectedRows(plan: RowPlan): number {
  return plan.modules.reduce((sum, { indices }) => sum + indices.length, 0);
}
