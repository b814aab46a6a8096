/** Jobs and forecasts as people read them. */
import type { JobEstimate, JobEvent, JobObject } from '@rowsmith/contracts';
import { formatSeconds } from '../progress.js';
import { localTime } from '../table.js';

export function summary(job: JobObject): string {
  const lines = [
    `${job.id}  ${job.status}`,
    `model        ${job.model}`,
    `created      ${localTime(job.created_at)}`,
    `step         ${job.progress.step}${job.progress.total_steps === null ? '' : ` of ${job.progress.total_steps}`}`,
  ];
  if (job.fine_tuned_model) lines.push(`fine-tuned   ${job.fine_tuned_model}`);
  if (job.result_files.length > 0) lines.push(`results      ${job.result_files.join(', ')}`);
  if (job.error) lines.push(`error        ${job.error.code}: ${job.error.message}`);
  return lines.join('\n');
}

const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(2)} GiB`;

export function estimateText(estimate: JobEstimate): string {
  const { tokens, hyperparameters: h } = estimate;
  return [
    `${estimate.model}: ${estimate.training_examples} examples, ${estimate.steps} steps of ${h.batch_size}, ${h.n_epochs} epochs`,
    `tokens       ${tokens.trained} trained, ${tokens.evaluated} evaluated (${tokens.basis}); mean ${tokens.mean.toFixed(1)}, longest ${tokens.longest}`,
    `trained      ${estimate.trainable_parameters} parameters`,
    `memory       ${gib(estimate.memory.fast.total)} fast, ${gib(estimate.memory.low.total)} low`,
    `duration     ${formatSeconds(estimate.duration.low)} to ${formatSeconds(estimate.duration.high)} on ${estimate.duration.device_class ?? 'any device'} (${
      estimate.duration.basis === 'measured' ? `measured on ${estimate.duration.jobs} jobs` : 'by formula'
    })`,
    ...estimate.devices.map(
      (d) =>
        `${d.device.padEnd(11)}  ${d.fits ? 'fits' : 'does not fit'}: ${gib(d.needed_bytes)} of ${gib(d.memory_bytes)} (${d.memory_mode}), ${formatSeconds(d.duration_seconds.low)} to ${formatSeconds(d.duration_seconds.high)}`,
    ),
  ].join('\n');
}

export function eventText(event: JobEvent): string {
  const mark = event.level === 'info' ? '' : `${event.level}: `;
  return `${localTime(event.created_at)}  ${mark}${event.message}`;
}
