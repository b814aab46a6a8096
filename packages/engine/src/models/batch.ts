import type { DecoderConfig } from '@rowsmith/contracts';
import { EngineError } from '../errors.js';
import type { Batch, RowModule, RowPlan } from './causal-lm.js';
import { checkLength } from './check-length.js';
import { partsOf } from './parts.js';
import { beginsSequence, segmentsOf } from './segments.js';

/** Rows of [N, C] that predict a label, and the labels: the label of position t is predicted at t-1; a label at position 0 has no predictor. */
export interface LabelledRows {
  readonly rows: Int32Array;
  readonly labels: Int32Array;
}

/** Checks a batch against the model and finds its labelled rows. Throws EngineError `invalid_batch` with the position at fault. */
export function labelledRows(batch: Batch, config: DecoderConfig): LabelledRows {
  const { size, length, ids, labels } = batch;
  const count = size * length;
  if (!Number.isInteger(size) || !Number.isInteger(length) || size < 1 || length < 1)
    throw new EngineError('user', 'invalid_batch', `a batch of ${size} sequences of ${length} tokens`);
  const segments = segmentsOf(batch, config);
  if (!segments) checkLength(length, config);
  if (ids.length !== count || labels.length !== count)
    throw new EngineError('user', 'invalid_batch', `${size} x ${length} tokens, but ${ids.length} ids and ${labels.length} labels`);
  checkIds(ids, config);
  const rows: number[] = [];
  const kept: number[] = [];
  for (let i = 0; i < count; i++) {
    const label = labels[i] as number;
    if (label === -100) continue;
    if (label < 0 || label >= config.vocab_size)
      throw new EngineError(
        'user',
        'invalid_batch',
        `label ${label} at sequence ${Math.floor(i / length)}, position ${i % length} is not in the vocabulary`,
      );
    if (beginsSequence(batch, segments, i)) continue;
    rows.push(i - 1);
    kept.push(label);
  }
  return { rows: Int32Array.from(rows), labels: Int32Array.from(kept) };
}

export { checkLength };

export function checkIds(ids: Int32Array, config: DecoderConfig): void {
  const at = ids.findIndex((id) => id < 0 || id >= config.vocab_size);
  if (at >= 0)
    throw new EngineError(
      'user',
      'invalid_batch',
      `token id ${ids[at]} at position ${at} is not in the vocabulary of ${config.vocab_size}`,
    );
}

/** Rows must be ascending, distinct and inside the linear. */
export function checkIndices(module: Pick<RowModule, 'name' | 'outFeatures'>, indices: Int32Array): void {
  let previous = -1;
  for (const row of indices) {
    if (row <= previous || row >= module.outFeatures)
      throw new EngineError(
        'user',
        'invalid_rows',
        `${module.name}: row ${row} after ${previous}; rows must ascend within [0, ${module.outFeatures})`,
      );
    previous = row;
  }
}

/** Columns must be ascending, distinct and inside the linear. */
export function checkColumns(module: Pick<RowModule, 'name' | 'inFeatures'>, columns: Int32Array): void {
  let previous = -1;
  for (const column of columns) {
    if (column <= previous || column >= module.inFeatures)
      throw new EngineError(
        'user',
        'invalid_rows',
        `${module.name}: column ${column} after ${previous}; columns must ascend within [0, ${module.inFeatures})`,
      );
    previous = column;
  }
}

export function checkPlan(plan: RowPlan, config: DecoderConfig): void {
  for (const module of plan.modules) {
    if (module.layer >= config.n_layers)
      throw new EngineError('user', 'invalid_rows', `${module.name}: the model has ${config.n_layers} layers`);
    if (partsOf(module).length === 0) throw new EngineError('user', 'invalid_rows', `${module.name} has no rows: leave it out of the plan`);
    checkIndices(module, module.indices);
    checkColumns(module, module.columns ?? new Int32Array(0));
  }
}
