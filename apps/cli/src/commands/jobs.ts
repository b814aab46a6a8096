import type { RowsmithClient } from '@rowsmith/client';
import type { CreateJobBody } from '@rowsmith/contracts';
import { Command } from 'commander';
import { CliError, exitCodes } from '../exit.js';
import { localTime, table } from '../table.js';
import { collect, connect, type GlobalOptions, type ListFlags, pagesOf, print, show, withConnection, withPages } from './context.js';
import { jobBody, keyValues, readObject } from './job-body.js';
import { addControlCommands, watch } from './job-control.js';
import { filesOfFlags, uploadNamed } from './job-files.js';
import { type JobFlagsWithFiles, withJobFlags, withPatch } from './job-flags.js';
import { jobOptions, jobOptionsText } from './job-options.js';
import { addResultCommands } from './job-result-commands.js';
import { estimateText, summary } from './job-text.js';
import { applySettings } from './settings.js';

/** --file, then flags, then --set; named files that are paths are uploaded. */
async function bodyOf(client: RowsmithClient, flags: JobFlagsWithFiles): Promise<CreateJobBody> {
  const files = filesOfFlags(flags.trainingFile, flags.validationFile);
  const { training_file, training_files, ...rest } = await readObject(flags.file);
  const before = flags.trainingFile === undefined ? { training_file, training_files } : {};
  const base = { ...rest, ...Object.fromEntries(Object.entries(before).filter(([, value]) => value !== undefined)) };
  const body = jobBody(flags, files, base);
  if (body['model'] === undefined) throw new CliError('name a base model: --model <id>, or "model" in --file', exitCodes.usage);
  if (body['training_file'] === undefined && body['training_files'] === undefined)
    throw new CliError('name what to train on: --training-file <path or file id>, or "training_file" in --file', exitCodes.usage);
  return uploadNamed(client, body);
}

interface MakeFlags extends GlobalOptions {
  readonly watch?: boolean;
  readonly idempotencyKey?: string;
}
const once = ({ idempotencyKey }: MakeFlags) => (idempotencyKey === undefined ? {} : { idempotencyKey });
const withMaking = (command: Command): Command =>
  command
    .option('--idempotency-key <text>', 'the same key and request within a day give the same job, not a second one')
    .option('--watch', 'follow the job to its end');

export function jobsCommand(): Command {
  const jobs = new Command('jobs').description('create and follow fine-tuning jobs');
  withMaking(withConnection(withJobFlags(jobs.command('create'))))
    .description('start a fine-tuning job')
    .option('--no-start', 'check and store only; `jobs start` queues it')
    .action(async (options: JobFlagsWithFiles & MakeFlags & { start: boolean }) => {
      const client = await connect(options);
      const body = await bodyOf(client, options);
      const job = await client.createJob(options.start ? body : { ...body, auto_start: false }, once(options));
      if (options.watch) return watch(client, job.id, options);
      show(options, job, () => `${job.id}  ${job.status}\nWatch it: rowsmith jobs watch ${job.id}`);
    });
  withConnection(withJobFlags(jobs.command('estimate')))
    .description('tokens, steps, memory and time of a job, and every default it would get (--json); nothing is queued')
    .action(async (options: JobFlagsWithFiles & GlobalOptions) => {
      const client = await connect(options);
      const estimate = await client.estimateJob(await bodyOf(client, options));
      show(options, estimate, () => estimateText(estimate));
    });
  withMaking(withConnection(withPatch(jobs.command('clone <job>'))))
    .description('a new job like an earlier one, changed by --set and --file; null takes a field out')
    .action(async (id: string, options: MakeFlags & { file?: string; set?: readonly string[] }) => {
      const client = await connect(options);
      const job = await client.cloneJob(id, applySettings(await readObject(options.file), options.set ?? []), once(options));
      if (options.watch) return watch(client, job.id, options);
      show(options, job, () => `${job.id}  ${job.status}\nWatch it: rowsmith jobs watch ${job.id}`);
    });
  withPages(withConnection(jobs.command('list')), 20)
    .description('newest jobs first')
    .option('--metadata <key=value>', 'only jobs that have it (repeatable)', collect)
    .action(async (options: GlobalOptions & ListFlags & { metadata?: readonly string[] }) => {
      const client = await connect(options);
      const filter = options.metadata === undefined ? {} : { metadata: keyValues(options.metadata) };
      const page = await pagesOf(options, (p) => client.listJobs({ ...p, ...filter }));
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
  jobs
    .command('options')
    .description('every field of a job that --set and --file take, with units and limits')
    .option('--json', 'print one JSON document and nothing else')
    .action(({ json }: { json?: boolean }) => {
      const options = jobOptions();
      print(json ? JSON.stringify(options, null, 2) : jobOptionsText(options));
    });
  addControlCommands(jobs);
  addResultCommands(jobs);
  return jobs;
}
