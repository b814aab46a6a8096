/** Metrics as CSV: the columns OpenAI's result files have, then ours. Numbers are written as JavaScript prints them: shortest text that reads back equal. */
import type { MetricPoint } from '@rowsmith/contracts';
import { stringify } from 'csv-stringify/sync';

const columns = [
  ['step', 'step'],
  ['train_loss', 'train_loss'],
  ['train_accuracy', 'train_mean_token_accuracy'],
  ['valid_loss', 'valid_loss'],
  ['valid_mean_token_accuracy', 'valid_mean_token_accuracy'],
  ['epoch', 'epoch'],
  ['learning_rate', 'learning_rate'],
  ['grad_norm', 'grad_norm'],
  ['tokens', 'tokens'],
  ['labelled_tokens', 'labelled_tokens'],
] as const satisfies readonly (readonly [string, keyof MetricPoint])[];

// `seconds` is left out: it is a measurement, and a result file must be the same bytes whoever makes it and however often a job was resumed.
export const metricsCsvHeader = () => stringify([columns.map(([name]) => name)]);

/** null is an empty cell. */
export const metricsCsvRow = (point: MetricPoint) => stringify([columns.map(([, field]) => point[field])]);
