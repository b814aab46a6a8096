import type { MetricPoint } from '@rowsmith/contracts';

/** Validation loss and token accuracy before the first and after the last step. */
export function losses(points: readonly MetricPoint[]): string {
  const evaluations = points.filter((p) => p.valid_loss !== null);
  const first = evaluations[0];
  const last = evaluations.at(-1);
  if (!first || !last) return '  no validation was recorded';
  const row = (name: string, p: MetricPoint) =>
    `  ${name.padEnd(16)} ${(p.valid_loss ?? Number.NaN).toFixed(4).padStart(9)} ${p.valid_mean_token_accuracy === null ? '' : `${(100 * p.valid_mean_token_accuracy).toFixed(1)} %`.padStart(14)}`;
  return ['  validation            loss  token accuracy', row('before training', first), row('after training', last)].join('\n');
}

export function closing(folder: string, jobId: string, stopped: boolean): string {
  return [
    '',
    `Done. The adapter is in ${folder}`,
    '',
    'Next:',
    ...(stopped ? ['  npm start                                    # the service, on port 8080'] : []),
    `  npm run -s rowsmith -- jobs get ${jobId}`,
    '  npm run -s rowsmith -- jobs create --model smollm2-135m-instruct --training-file your.jsonl --watch',
    '',
  ].join('\n');
}
