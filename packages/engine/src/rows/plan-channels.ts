import type { RowSparseConfig } from '@rowsmith/contracts';
import { EngineError } from '../errors.js';
import type { LinearInfo, RowModule, RowPlan, TrainableModel } from '../models/causal-lm.js';
import { type Pool, poolScores, poolsOf } from './channel-pools.js';
import { chosenLinears, type RowChoice } from './row-choice.js';
import { globalRowCount, rowCount } from './row-count.js';
import type { ScoreMatrix } from './score-matrix.js';
import { selectLargest } from './select.js';
import { selectGlobally } from './select-globally.js';

/**
 * The rows and columns that scores choose in the modes 'in', 'both' and 'coupled': each pool gives its k best units, or, globally, all pools together
 * the best by scores divided by their pool's mean; ties go to the earlier pool, then the lower index. Throws EngineError (precheck) `invalid_options`,
 * `invalid_rows` (more units than any pool has), `no_rows_selected`, `invalid_model` (a score is not finite), and as `chosenLinears`.
 */
export function planChannels(model: Pick<TrainableModel, 'linears' | 'config'>, choice: RowChoice, scores: ScoreMatrix): RowPlan {
  const { channels = 'out', rows, selection } = choice;
  if (choice.head_groups || choice.heads)
    throw new EngineError(
      'precheck',
      'invalid_options',
      `heads are blocks of rows: head_groups and heads need channels 'out', not '${channels}'`,
      `row_sparse.${choice.heads ? 'heads' : 'head_groups'}`,
    );
  const linears = chosenLinears(model, choice);
  const pools = poolsOf(linears, channels, model.config);
  checkCount(rows, pools);
  const normalised = pools.map((pool) => finiteScores(pool, choice, scores));
  const units =
    selection === 'global'
      ? selectGlobally(
          normalised,
          globalRowCount(
            rows,
            pools.length,
            pools.reduce((sum, pool) => sum + pool.units, 0),
          ),
        )
      : pools.map((pool, i) => selectLargest(normalised[i] as Float64Array, rowCount(rows, pool.units)));
  const modules = modulesOf(linears, pools, units);
  if (modules.length === 0)
    throw new EngineError(
      'precheck',
      'no_rows_selected',
      `rows ${JSON.stringify(rows)} selects nothing of any matrix: raise the ratio or lower round_to`,
      'row_sparse.rows',
    );
  return { modules };
}

/** A pool with fewer units than asked for gives them all, as the published code does; when every pool has fewer, the number is a mistake. */
function checkCount(rows: RowSparseConfig['rows'], pools: readonly Pool[]): void {
  const largest = Math.max(...pools.map(({ units }) => units));
  if (typeof rows === 'number' && rows > largest)
    throw new EngineError('precheck', 'invalid_rows', `rows ${rows}: the largest choice is of ${largest}`, 'row_sparse.rows');
}

function finiteScores(pool: Pool, { scorer }: RowChoice, scores: ScoreMatrix): Float64Array {
  const normalised = poolScores(pool, scores);
  if (!normalised.every(Number.isFinite))
    throw new EngineError('precheck', 'invalid_model', `${pool.name}: a ${scorer} score is not finite; the weights are damaged`);
  return normalised;
}

/** Rows and columns of each linear, ascending, from the chosen units of each pool. Pure. */
export function modulesOf(linears: readonly LinearInfo[], pools: readonly Pool[], units: readonly Int32Array[]): RowModule[] {
  const chosen = { out: new Map<string, Int32Array>(), in: new Map<string, Int32Array>() };
  pools.forEach(({ members }, i) => {
    for (const { linear, axis, channels } of members)
      chosen[axis].set(linear.name, Int32Array.from(Array.from(units[i] ?? []).flatMap((unit) => [...channels(unit)])).sort());
  });
  return linears.flatMap((linear) => {
    const indices = chosen.out.get(linear.name) ?? new Int32Array(0);
    const columns = chosen.in.get(linear.name) ?? new Int32Array(0);
    if (indices.length === 0 && columns.length === 0) return [];
    return [{ ...linear, indices, ...(columns.length > 0 && { columns }) }];
  });
}
