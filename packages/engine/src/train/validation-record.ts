/** What evaluations have shown so far: which step was best, and whether the job has stopped improving. Pure. */

/** Evaluations of step 0, the model that training starts from, do not count. */
export interface ValidationRecord {
  readonly evaluations: number;
  /** Lowest validation loss and its step; of equal losses the earlier. null: none yet. */
  readonly best: { readonly step: number; readonly loss: number } | null;
  /** Last loss that counted as an improvement: what the next has to be below by `minDelta`. null: none yet. */
  readonly referenceLoss: number | null;
  /** Evaluations in a row since then. */
  readonly withoutImprovement: number;
}

export const noEvaluations: ValidationRecord = { evaluations: 0, best: null, referenceLoss: null, withoutImprovement: 0 };

/** An evaluation after `step` > 0. loss: null where no validation token is labelled; it cannot improve. */
export function afterEvaluation(record: ValidationRecord, step: number, loss: number | null, minDelta: number): ValidationRecord {
  const { best, referenceLoss } = record;
  const lower = loss !== null && (best === null || loss < best.loss);
  const improved = loss !== null && (referenceLoss === null || (loss < referenceLoss && referenceLoss - loss >= minDelta));
  return {
    evaluations: record.evaluations + 1,
    best: lower ? { step, loss } : best,
    referenceLoss: improved ? loss : referenceLoss,
    withoutImprovement: improved ? 0 : record.withoutImprovement + 1,
  };
}

/** patience: evaluations in a row without improvement; 0: never. */
export const stopsEarly = ({ withoutImprovement }: ValidationRecord, patience: number): boolean =>
  patience > 0 && withoutImprovement >= patience;

/** Numbers of a checkpoint's cursor. */
export function toNumbers({ evaluations, best, referenceLoss, withoutImprovement }: ValidationRecord): Record<string, number> {
  return {
    evaluations,
    evaluations_without_improvement: withoutImprovement,
    ...(best && { best_step: best.step, best_loss: best.loss }),
    ...(referenceLoss !== null && { reference_loss: referenceLoss }),
  };
}

export function fromNumbers(cursor: Readonly<Record<string, number>>): ValidationRecord {
  const { best_step: step, best_loss: loss } = cursor;
  return {
    evaluations: cursor['evaluations'] ?? 0,
    best: step !== undefined && loss !== undefined ? { step, loss } : null,
    referenceLoss: cursor['reference_loss'] ?? null,
    withoutImprovement: cursor['evaluations_without_improvement'] ?? 0,
  };
}
