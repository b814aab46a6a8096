/** How rows are scored and chosen: defaults, and the rules between these fields. Pure. */
import type { RowSparseConfig, RowSparseRequest, TargetName } from '@rowsmith/contracts';
import { choicesOf } from './channels.js';
import { given } from './given.js';
import type { JobFacts, JobFault } from './resolve-job.js';

const autoCalibrationBatches = 50;
const autoSplits = 16;
const headTargets = ['q_proj', 'k_proj', 'v_proj'] as const satisfies readonly TargetName[];
/** What a job whose rows are reused has decided already. */
const decidedByReuse = [
  'rows',
  'scorer',
  'selection',
  'channels',
  'head_groups',
  'heads',
  'calibration_batches',
  'zo_estimates',
  'zo_splits',
  'zo_eps',
] as const satisfies readonly (keyof RowSparseConfig)[];

type ScoringFields = Pick<
  RowSparseConfig,
  | 'calibration_batches'
  | 'scoring_memory_mb'
  | 'zo_estimates'
  | 'zo_splits'
  | 'zo_eps'
  | 'selection'
  | 'head_groups'
  | 'heads'
  | 'reuse_rows_of'
>;

/** batches: of one pass over the training file. */
export function resolveScoring(asked: RowSparseRequest, batches: number): ScoringFields {
  const calibration = given(asked.calibration_batches) ?? autoCalibrationBatches;
  return {
    calibration_batches: calibration,
    scoring_memory_mb: given(asked.scoring_memory_mb) ?? 0,
    zo_estimates: given(asked.zo_estimates) ?? 2,
    zo_splits: given(asked.zo_splits) ?? Math.max(1, Math.min(autoSplits, calibration, batches)),
    zo_eps: given(asked.zo_eps) ?? 1e-3,
    selection: given(asked.selection) ?? 'per_layer',
    head_groups: given(asked.head_groups) ?? false,
    heads: given(asked.heads) ?? 0,
    reuse_rows_of: given(asked.reuse_rows_of) ?? null,
  };
}

export function scoringFault(config: RowSparseConfig, { model }: JobFacts, batches: number): JobFault | null {
  const { selection, head_groups: groups, heads, targets, rows } = config;
  const fault = (field: keyof RowSparseConfig, message: string): JobFault => ({ param: `row_sparse.${field}`, message });
  // Rows that are there already need no batch and no choice.
  if (config.reuse_rows_of !== null) return null;
  const used = Math.min(config.calibration_batches, batches);
  if (config.scorer === 'zo_taylor' && config.zo_splits > used)
    return fault('zo_splits', `zo_taylor needs at least one batch for each of its ${config.zo_splits} splits; there are ${used}.`);
  if (selection === 'global') {
    if (groups) return fault('head_groups', 'Equal numbers of rows per head and a global selection exclude each other.');
    if (heads > 0) return fault('heads', 'Whole heads are chosen matrix by matrix: not with a global selection.');
    if (typeof rows === 'object') {
      if (rows.round_to !== undefined)
        return fault('rows', 'A global selection takes exactly floor(ratio x rows) rows: leave round_to out.');
      // Layers are alike: one layer's rows, as often as there are layers.
      const total = (config.layers[1] - config.layers[0] + 1) * choicesOf(config, model).reduce((sum, choices) => sum + choices, 0);
      if (Math.floor(rows.ratio * total + 1e-9) === 0)
        return fault('rows', `The ratio ${rows.ratio} of ${total} rows is less than one row.`);
    }
  }
  const onHeads = headTargets.filter((target) => targets.includes(target));
  if (groups && heads > 0) return fault('heads', 'A whole head has all its rows: choose head_groups or heads, not both.');
  if (groups && onHeads.length === 0) return fault('head_groups', `No target has heads: ${headTargets.join(', ')} have.`);
  if (heads > 0) {
    if (onHeads.length === 0) return fault('heads', `No target has heads: ${headTargets.join(', ')} have.`);
    const of = (target: TargetName) => (target === 'q_proj' ? model.heads : model.kvHeads);
    if (
      targets.every((target) => headTargets.some((name) => name === target)) &&
      onHeads.every((target) => Math.floor(heads * of(target) + 1e-9) === 0)
    )
      return fault('heads', `The share ${heads} of ${model.heads} heads (${model.kvHeads} for keys and values) is less than one head.`);
  }
  return null;
}

/** The rows of another job bring all that decided them; what is asked beside it must not contradict. */
export function reuseFault(asked: RowSparseRequest, { reuse }: JobFacts): JobFault | null {
  const from = given(asked.reuse_rows_of);
  if (from === undefined) return null;
  if (given(asked.warm_start_from) !== undefined)
    return { param: 'row_sparse.reuse_rows_of', message: 'warm_start_from brings its own rows: leave reuse_rows_of out.' };
  const chosen = decidedByReuse.find((name) => given(asked[name] as never) !== undefined);
  if (chosen) return { param: `row_sparse.${chosen}`, message: `reuse_rows_of brings its own rows: leave ${chosen} out.` };
  if (!reuse) return { param: 'row_sparse.reuse_rows_of', message: `The job '${from}' is not known.` };
  const sorted = (names: readonly string[]) => [...names].sort().join(', ');
  const targets = given(asked.targets);
  if (targets && sorted(targets) !== sorted(reuse.targets))
    return {
      param: 'row_sparse.targets',
      message: `The job ${from} has the targets ${reuse.targets.join(', ')}: ask for the same or leave them out.`,
    };
  const layers = given(asked.layers);
  if (layers && layers.join() !== reuse.layers.join())
    return {
      param: 'row_sparse.layers',
      message: `The job ${from} has the layers [${reuse.layers.join(', ')}]: ask for the same or leave them out.`,
    };
  return null;
}

/** The request with everything that the job whose rows are reused has decided. */
export function withReusedChoice(asked: RowSparseRequest, { reuse }: JobFacts): RowSparseRequest {
  if (!reuse || given(asked.reuse_rows_of) === undefined) return asked;
  const decided = Object.fromEntries([...decidedByReuse, 'targets' as const, 'layers' as const].map((name) => [name, reuse[name]]));
  return { ...asked, ...decided };
}
