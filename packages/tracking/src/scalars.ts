import type { MetricPoint } from '@rowsmith/contracts';

/** One named value at a step, in the names that Hugging Face's Trainer gives W&B, MLflow and TensorBoard. */
export interface Scalar {
  readonly name: string;
  readonly value: number;
}

const names = [
  ['train/loss', 'train_loss'],
  ['train/mean_token_accuracy', 'train_mean_token_accuracy'],
  ['train/learning_rate', 'learning_rate'],
  ['train/grad_norm', 'grad_norm'],
  ['train/epoch', 'epoch'],
  ['eval/loss', 'valid_loss'],
  ['eval/mean_token_accuracy', 'valid_mean_token_accuracy'],
] as const satisfies readonly (readonly [string, keyof MetricPoint])[];

/** What a point holds; values that are null are left out. */
export const scalarsOf = (point: MetricPoint): Scalar[] =>
  names.flatMap(([name, field]) => {
    const value = point[field];
    return value === null ? [] : [{ name, value }];
  });
