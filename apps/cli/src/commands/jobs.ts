import { existsSync } from 'node:fs';
import type { RowsmithClient } from '@rowsmith/client';
import type { JobObject } from '@rowsmith/contracts';
import { Command } from 'commander';
import { CliError, exitCodes } from '../exit.js';
import { localTime, table } from '../table.js';
import { openScreen, watchJob } from '../watch.js';
import { connect, type GlobalOptions, print, show, withConnection } from './context.js';
import { type JobFlags, jobBody } from './job-body.js';

const collect = (value: string, before: readonly string[] = []) => [...before, value];

/** A path is uploaded; anything else is taken for a file id. */
async function fileId(client: RowsmithClient, pathOrId: string): Promise<string> {
  if (!existsSync(pathOrId)) {
    if (pathOrId.startsWith('file-')) return pathOrId;
    throw new CliError(`${pathOrId}: no such file, and not a file id (file-...)`, exitCodes.usage);
  }
  const uploaded = await client.uploadFile(pathOrId);
  process.stderr.write(`Uploaded ${pathOrId} as ${uploaded.id}\n`);
  return uploaded.id;
}

function summary(job: JobObject): string {
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

/** Watches to the end; the exit code says how it ended. Ctrl-C stops the watching only. */
async function watch(client: RowsmithClient, id: string, options: GlobalOptions): Promise<void> {
  const interrupt = new AbortController();
  process.once('SIGINT', () => interrupt.abort());
  let job: JobObject;
  try {
    job = await watchJob(client, id, openScreen(process.stderr), { signal: interrupt.signal });
  } catch (error) {
    if (!interrupt.signal.aborted) throw error;
    print(`The job goes on. Watch it again: rowsmith jobs watch ${id}`);
    return;
  }
  show(options, job, () => summary(job));
  if (job.status === 'failed') process.exitCode = exitCodes.failed;
  if (job.status === 'cancelled') process.exitCode = exitCodes.cancelled;
}

export function jobsCommand(): Command {
  const jobs = new Command('jobs').description('create and follow fine-tuning jobs');
  withConnection(jobs.command('create'))
    .description('start a fine-tuning job')
    .requiredOption('--model <id>', 'base model, e.g. smollm2-135m-instruct')
    .requiredOption('--training-file <path or file id>', 'JSONL to train on')
    .option('--validation-file <path or file id>', 'JSONL held out for validation')
    .option('--suffix <text>', 'part of the name of the tuned model')
    .option('--seed <n>', 'seed of everything random')
    .option('--epochs <n>', 'passes over the training file')
    .option('--batch-size <n>', 'examples a step')
    .option('--rows <n>', 'trained rows per matrix; below 1: share of the rows')
    .option('--scorer <name>', 'l2, l1, random, wanda, taylor, taylor_multivariable, fisher, taylor2 or zo_taylor')
    .option('--learning-rate <x>', 'peak learning rate')
    .option('--schedule <name>', 'constant, linear, cosine or step')
    .option('--max-steps <n>', 'stop after so many optimiser steps')
    .option('--max-seq-length <n>', 'tokens kept of an example')
    .option('--prompt <text>', 'answered before and after the training (repeatable)', collect)
    .option('--metadata <key=value>', 'kept with the job (repeatable)', collect)
    .option('--row-sparse <json>', 'any field of the row_sparse object')
    .option('--watch', 'follow the job to its end')
    .action(async (options: GlobalOptions & JobFlags & { trainingFile: string; validationFile?: string; watch?: boolean }) => {
      const client = await connect(options);
      const training = await fileId(client, options.trainingFile);
      const validation = options.validationFile ? await fileId(client, options.validationFile) : null;
      const job = await client.createJob(jobBody(options, training, validation));
      if (!options.watch) return show(options, job, () => `${job.id}  ${job.status}\nWatch it: rowsmith jobs watch ${job.id}`);
      print(`${job.id}  ${job.status}`);
      await watch(client, job.id, options);
    });
  withConnection(jobs.command('list'))
    .description('newest jobs first')
    .option('--limit <n>', 'how many', '20')
    .action(async (options: GlobalOptions & { limit: string }) => {
      const page = await (await connect(options)).listJobs({ limit: Number(options.limit) });
      const rows = page.data.map((j) => [
        j.id,
        j.status,
        `${j.progress.step}/${j.progress.total_steps ?? '?'}`,
        localTime(j.created_at),
        j.model,
      ]);
      show(options, page, () => table(['job', 'status', 'step', 'created', 'model'], rows));
    });
  withConnection(jobs.command('get <job>'))
    .description('one job')
    .action(async (id: string, options: GlobalOptions) => {
      const job = await (await connect(options)).getJob(id);
      show(options, job, () => summary(job));
    });
  withConnection(jobs.command('watch <job>'))
    .description('follow a job: progress bar, loss, tokens/s, time left')
    .action(async (id: string, options: GlobalOptions) => watch(await connect(options), id, options));
  withConnection(jobs.command('cancel <job>'))
    .description('cancel a job')
    .action(async (id: string, options: GlobalOptions) => {
      const job = await (await connect(options)).cancelJob(id);
      show(options, job, () => `${job.id}  ${job.status === 'cancelled' ? 'cancelled' : 'will be cancelled'}`);
    });
  return jobs;
}
