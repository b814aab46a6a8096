import type { EncodedExample, LabelAggregationName, RowSparseConfig } from '@rowsmith/contracts';
import type { Engine } from '../engine.js';
import { EngineError } from '../errors.js';
import type { TrainableModel } from '../models/causal-lm.js';
import { labelledTokens } from '../train/collate.js';
import { exampleOrder } from '../train/order.js';
import { chosenLinears } from './row-choice.js';
import type { ScoreMatrix } from './score-matrix.js';
import { aggregateClasses } from './scorers/label-wise.js';
import { dataScorers, needsData, weightScorers } from './scorers/scorers.js';
import { type ScoringProgress, turns } from './scorers/scoring.js';
import { scoringMemory } from './scoring-memory.js';

export type ScoringConfig = Pick<
  RowSparseConfig,
  | 'scorer'
  | 'targets'
  | 'layers'
  | 'calibration_batches'
  | 'scoring_memory_mb'
  | 'zo_estimates'
  | 'zo_splits'
  | 'zo_eps'
  | 'label_aggregation'
>;

export interface ScoringInput extends ScoringProgress {
  readonly engine: Engine;
  /** Holds the base weights, and holds them unchanged, bit for bit, when this is over. */
  readonly model: TrainableModel;
  readonly config: ScoringConfig;
  readonly seed: number;
  readonly examples: readonly EncodedExample[];
  /** Examples a batch, as in training. */
  readonly batchSize: number;
  /** For sums of whole gradients, instead of what the configuration says. */
  readonly memoryBytes?: number | undefined;
}

export interface Scored {
  readonly scores: ScoreMatrix;
  /** Calibration batches that were looked at; 0 for l1, l2 and random. */
  readonly batches: number;
}

/**
 * Scores rows and columns of every linear that targets and layers name: a function of weights, configuration, data and seed. Data: the first
 * `calibration_batches` batches of the first epoch's order. Throws EngineError `unknown_target`, `invalid_layers`, `invalid_options`,
 * `no_labelled_tokens`, `invalid_model` (a score is not finite), `aborted`.
 */
export async function scoreChannels(input: ScoringInput): Promise<Scored> {
  const { engine, model, config, seed } = input;
  const { scorer, label_aggregation: aggregation } = config;
  if (aggregation) return scoreByClass(input, aggregation);
  const linears = chosenLinears(model, config);
  const turn = turns(input);
  const scoring = { ops: engine.ops, model, seed };
  if (!needsData(scorer)) {
    const scores = new Map();
    for (const [done, linear] of linears.entries()) {
      if (done % 32 === 0) await turn(done, linears.length);
      scores.set(linear.name, weightScorers[scorer](scoring, linear));
    }
    return { scores: finite(scores, config), batches: 0 };
  }
  const batches = calibrationBatches(input);
  const zo = { estimates: config.zo_estimates, splits: config.zo_splits, eps: config.zo_eps };
  const memoryBytes = input.memoryBytes ?? scoringMemory(model.config, batches, config.scoring_memory_mb);
  const scores = await dataScorers[scorer]({ ...scoring, linears, batches, memoryBytes, zo, turn });
  return { scores: finite(scores, config), batches: batches.length };
}

/** Sums over batches become means, so that a class with more examples does not count for more; Fisher's and the second order's are means already. */
const sums = new Set<ScoringConfig['scorer']>(['taylor', 'taylor_multivariable']);

async function scoreByClass(input: ScoringInput, aggregation: LabelAggregationName): Promise<Scored> {
  const { label_aggregation: _, ...config } = input.config;
  const labels = [...new Set(input.examples.map(({ label }) => label))];
  if (labels.some((label) => label === undefined))
    throw new EngineError('user', 'invalid_options', 'scores class by class need a classifier', 'row_sparse.label_aggregation');
  const classes: Scored[] = [];
  for (const label of (labels as number[]).sort((a, b) => a - b))
    classes.push(await scoreChannels({ ...input, config, examples: input.examples.filter((example) => example.label === label) }));
  const weights = classes.map(({ batches }) => (sums.has(config.scorer) ? 1 / batches : 1));
  const scores = aggregateClasses(
    aggregation,
    classes.map((one) => one.scores),
    weights,
  );
  return { scores: finite(scores, config), batches: classes.reduce((count, { batches }) => count + batches, 0) };
}

/** Examples without a label that counts have no gradient, and no place in a mean over samples. */
function calibrationBatches({ examples, batchSize, seed, config }: ScoringInput): EncodedExample[][] {
  const order = exampleOrder(examples.length, seed, 0);
  const usable = Array.from(order, (index) => examples[index] as EncodedExample).filter((example) => labelledTokens(example) > 0);
  if (usable.length === 0)
    throw new EngineError('user', 'no_labelled_tokens', 'no token of the training examples counts for the loss', 'training_file');
  const count = Math.min(config.calibration_batches, Math.ceil(usable.length / batchSize));
  return Array.from({ length: count }, (_, i) => usable.slice(i * batchSize, (i + 1) * batchSize));
}

function finite(scores: ScoreMatrix, { scorer }: ScoringConfig): ScoreMatrix {
  for (const [name, channels] of scores)
    if (!channels.out.every(Number.isFinite) || !channels.in.every(Number.isFinite))
      throw new EngineError(
        'precheck',
        'invalid_model',
        `${name}: a ${scorer} score is not finite; the weights are damaged or the loss is not finite`,
      );
  return scores;
}
