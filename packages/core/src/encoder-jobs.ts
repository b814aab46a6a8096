/** Jobs on encoders: what "auto" means there, and what they cannot have. Pure. */
import {
  encoderTargetNames,
  type Hyperparameters,
  type RowSparseConfig,
  type RowSparseRequest,
  type ScorerName,
  type TargetName,
} from '@rowsmith/contracts';
import { given } from './given.js';
import type { JobFacts, JobFault } from './resolve-job.js';

/** Fields whose "auto" depends on the kind of model. */
export type AutoFields = Pick<RowSparseConfig, 'rows' | 'scorer' | 'learning_rate' | 'weight_decay' | 'packing'> & {
  readonly targets: readonly TargetName[];
};

/** Examples seen in all epochs together above which `n_epochs: "auto"` takes fewer, but at least 3. */
const autoExamplesSeen = 150_000;

/** The recipe of the GLUE runs (Li & Bhaskara, arXiv 2502.11439): Taylor scores of 50 batches, 5 % of the rows, AdamW at 2e-5 with decay 0.01. */
export const encoderDefaults: AutoFields = {
  rows: { ratio: 0.05, round_to: 2 },
  scorer: 'taylor',
  targets: encoderTargetNames,
  learning_rate: 2e-5,
  weight_decay: 0.01,
  packing: false,
};
export const encoderSeqLength = 256;

export function encoderHyperparameters(examples: number): Pick<Hyperparameters, 'n_epochs' | 'batch_size'> {
  const epochs = Math.min(15, Math.max(3, Math.floor(autoExamplesSeen / Math.max(1, examples))));
  return { n_epochs: epochs, batch_size: Math.max(1, Math.min(32, examples)) };
}

export function encoderFault(asked: RowSparseRequest, config: RowSparseConfig, { model }: JobFacts): JobFault | null {
  if (model.encoder !== true) return null;
  const fault = (field: keyof RowSparseConfig, message: string): JobFault => ({ param: `row_sparse.${field}`, message });
  if (config.targets.includes('gate_proj'))
    return fault('targets', `An encoder's feed-forward has no gate; its linears are ${encoderTargetNames.join(', ')}.`);
  if (config.packing) return fault('packing', 'An encoder pads its batches: leave packing out.');
  if (given(asked.train_on) !== undefined)
    return fault('train_on', 'An encoder learns the class of a text, not its tokens: leave train_on out.');
  if (config.sample_prompts.length > 0)
    return fault('sample_prompts', 'An encoder classifies and cannot answer: leave sample_prompts out.');
  return null;
}

/** Gradients of one class at a time: what needs no labels, or has none, has nothing to bring together. */
export function labelAggregationFault({ label_aggregation: kind, scorer }: RowSparseConfig, { model }: JobFacts): JobFault | null {
  if (kind === undefined) return null;
  const fault = (message: string): JobFault => ({ param: 'row_sparse.label_aggregation', message });
  if (model.encoder !== true) return fault('Only a classifier has classes whose scores could be brought together.');
  if (!classScorers.some((name) => name === scorer))
    return fault(`Scores class by class need one of the scorers ${classScorers.join(', ')}, not '${scorer}'.`);
  return null;
}

const classScorers: readonly ScorerName[] = ['taylor', 'taylor_multivariable', 'fisher', 'taylor2'];

/** Rows that q, k and v share need three matrices of equal height, and a choice layer by layer. */
export function attentionRowsFault(
  { attention_rows: shared, channels, selection, targets }: RowSparseConfig,
  { model }: JobFacts,
): JobFault | null {
  if (shared !== 'shared') return null;
  const fault = (message: string): JobFault => ({ param: 'row_sparse.attention_rows', message });
  if (channels !== 'out') return fault(`Shared rows need the channels 'out', not '${channels}'.`);
  if (selection !== 'per_layer') return fault('Shared rows are chosen layer by layer: not with a global selection.');
  if (!(['q_proj', 'k_proj', 'v_proj'] as const).every((target) => targets.includes(target)))
    return fault('q_proj, k_proj and v_proj share their rows: all three must be targets.');
  if (model.heads !== model.kvHeads) return fault(`${model.heads} query heads and ${model.kvHeads} key/value heads cannot share rows.`);
  return null;
}
