import type { RowPlan } from '../models/causal-lm.js';
import { partsOf } from '../models/parts.js';

/** Trainable parameters: sum of r x in + c x out over the modules. LoRA of rank r has r (in + out) each. */
export function trainableParameters({ modules }: RowPlan): number {
  return modules.flatMap(partsOf).reduce((sum, { ids, width }) => sum + ids.length * width, 0);
}

/** Selected rows, and columns. */
export function selectedRows({ modules }: RowPlan): number {
  return modules.flatMap(partsOf).reduce((sum, { ids }) => sum + ids.length, 0);
}
