import { type ModelSizes, sizesOf } from '@rowsmith/contracts';
import { EngineError } from '../errors.js';
import type { LinearInfo, RowPlan, TrainableModel } from '../models/causal-lm.js';
import { byMean } from './normalise.js';
import { planChannels } from './plan-channels.js';
import { chosenLinears, type RowChoice } from './row-choice.js';
import { defaultRoundTo, globalRowCount, rowCount } from './row-count.js';
import type { ScoreMatrix } from './score-matrix.js';
import { selectLargest, selectLargestInGroups } from './select.js';
import { selectGlobally } from './select-globally.js';
import { headsOf, selectHeads } from './select-heads.js';
import { sharedScores } from './shared-attention.js';
import { withBiases } from './with-biases.js';
import { withClassifier } from './with-classifier.js';

/**
 * The rows that scores choose; ties go to the lower index, linears without a row are left out. Each linear gives its k best; or, globally, all of them
 * together the best by scores divided by their linear's mean. Throws EngineError (precheck) `no_rows_selected`, `invalid_model` (a score is not finite),
 * `invalid_options` (settings that exclude each other), and as `chosenLinears`. Columns and neurons: see `planChannels`.
 */
export function planFromScores(model: Pick<TrainableModel, 'linears' | 'config'>, choice: RowChoice, scores: ScoreMatrix): RowPlan {
  const plan = choose(model, choice, scores);
  return withClassifier(model, choice.train_biases ? withBiases(plan) : plan);
}

function choose(model: Pick<TrainableModel, 'linears' | 'config'>, choice: RowChoice, scores: ScoreMatrix): RowPlan {
  if (choice.channels && choice.channels !== 'out') return planChannels(model, choice, scores);
  checkChoice(choice);
  const linears = chosenLinears(model, choice);
  const own = linears.map((linear) => finiteScores(linear, choice, scores));
  const normalised = choice.attention_rows === 'shared' ? sharedScores(linears, own) : own;
  const sizes = sizesOf(model.config);
  const indices =
    choice.selection === 'global'
      ? selectGlobally(normalised, globalRowCount(choice.rows, linears.length, sumOf(normalised)))
      : linears.map((linear, i) => rowsOf(sizes, linear, choice, normalised[i] as Float64Array));
  const modules = linears.flatMap((linear, i) => {
    const rows = indices[i] as Int32Array;
    return rows.length === 0 ? [] : [{ ...linear, indices: rows }];
  });
  if (modules.length === 0)
    throw new EngineError(
      'precheck',
      'no_rows_selected',
      `rows ${JSON.stringify(choice.rows)} selects no row of any matrix: raise the ratio or lower round_to`,
      'row_sparse.rows',
    );
  return { modules };
}

function rowsOf(config: ModelSizes, { target, outFeatures }: LinearInfo, choice: RowChoice, scores: Float64Array): Int32Array {
  const heads = headsOf(config, target);
  if (heads !== undefined && choice.heads) return selectHeads(scores, heads, choice.heads);
  const k = rowCount(choice.rows, outFeatures);
  if (k === 0) return new Int32Array(0);
  if (heads === undefined || !choice.head_groups) return selectLargest(scores, k);
  return selectLargestInGroups(scores, k, heads, typeof choice.rows === 'number' ? 1 : (choice.rows.round_to ?? defaultRoundTo));
}

function checkChoice({ selection, head_groups, heads, attention_rows }: RowChoice): void {
  const refuse = (message: string, field: string) => {
    throw new EngineError('precheck', 'invalid_options', message, `row_sparse.${field}`);
  };
  if (selection === 'global' && head_groups)
    refuse('equal numbers of rows per head and a global selection exclude each other', 'head_groups');
  if (selection === 'global' && heads) refuse('whole heads are chosen matrix by matrix, not globally', 'heads');
  if (selection === 'global' && attention_rows === 'shared')
    refuse('rows that q, k and v share are chosen layer by layer', 'attention_rows');
  if (head_groups && heads) refuse('a whole head has all its rows: head_groups or heads, not both', 'heads');
}

function finiteScores({ name, outFeatures }: LinearInfo, { scorer }: RowChoice, scores: ScoreMatrix): Float64Array {
  const own = scores.get(name)?.out;
  if (own?.length !== outFeatures)
    throw new EngineError(
      'infra',
      'checkpoint_mismatch',
      `the scores have ${own?.length ?? 'no'} rows for ${name}, which has ${outFeatures}`,
    );
  const normalised = byMean(own);
  if (!normalised.every(Number.isFinite))
    throw new EngineError('precheck', 'invalid_model', `${name}: a row's ${scorer} score is not finite; its weights are damaged`);
  return normalised;
}

const sumOf = (scores: readonly Float64Array[]): number => scores.reduce((sum, { length }) => sum + length, 0);
