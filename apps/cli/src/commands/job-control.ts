/** What is done to a job that is there: watch, start, pause, resume, checkpoint, cancel, delete. */
import type { RowsmithClient } from '@rowsmith/client';
import type { JobObject } from '@rowsmith/contracts';
import type { Command } from 'commander';
import { exitCodes } from '../exit.js';
import { openScreen, watchJob } from '../watch.js';
import { connect, type GlobalOptions, note, show, withConnection } from './context.js';
import { summary } from './job-text.js';

/** Watches to the end, on stderr; stdout has the finished job, the exit code how it ended. Ctrl-C stops the watching only: exit code 130. */
export async function watch(client: RowsmithClient, id: string, options: GlobalOptions): Promise<void> {
  const interrupt = new AbortController();
  const stop = () => interrupt.abort();
  process.once('SIGINT', stop);
  let job: JobObject;
  try {
    note(`Watching ${id}`);
    job = await watchJob(client, id, openScreen(process.stderr), { signal: interrupt.signal });
  } catch (error) {
    if (!interrupt.signal.aborted) throw error;
    process.exitCode = exitCodes.interrupted;
    // Scripts get the job as it is now; the document is whole, whenever the signal came.
    if (options.json) show(options, await client.getJob(id), () => '');
    note(`The job goes on. Watch it again: rowsmith jobs watch ${id}`);
    return;
  } finally {
    process.off('SIGINT', stop);
  }
  show(options, job, () => summary(job));
  if (job.status === 'failed') process.exitCode = exitCodes.failed;
  if (job.status === 'cancelled') process.exitCode = exitCodes.cancelled;
}

export function addControlCommands(jobs: Command): void {
  withConnection(jobs.command('watch <job>'))
    .description(
      'follow a job to its end: progress, loss, tokens/s, time left; exit code 1 if it failed, 5 if it was cancelled, 130 after Ctrl-C, which the job does not notice',
    )
    .action(async (id: string, options: GlobalOptions) => watch(await connect(options), id, options));
  const change = (
    name: string,
    description: string,
    call: (client: RowsmithClient, id: string) => Promise<JobObject>,
    text: (job: JobObject) => string = (job) => job.status,
  ) =>
    withConnection(jobs.command(`${name} <job>`))
      .description(description)
      .action(async (id: string, options: GlobalOptions) => {
        const job = await call(await connect(options), id);
        show(options, job, () => `${job.id}  ${text(job)}`);
      });
  change('start', 'queue a job that was created with --no-start', (client, id) => client.startJob(id));
  change('pause', 'stop a job at its next checkpoint, to be resumed', (client, id) => client.pauseJob(id));
  change('resume', 'queue a paused job again', (client, id) => client.resumeJob(id));
  change(
    'cancel',
    'end a job for good',
    (client, id) => client.cancelJob(id),
    (job) => (job.status === 'cancelled' ? 'cancelled' : 'will be cancelled'),
  );
  change(
    'checkpoint',
    'have a running job save its work now, and go on; `jobs checkpoints` lists what was saved',
    (client, id) => client.requestCheckpoint(id),
    () => 'will save its work',
  );
  withConnection(jobs.command('delete <job>'))
    .description('delete a finished job for good: record, model, adapter, checkpoints, result file')
    .action(async (id: string, options: GlobalOptions) => {
      await (await connect(options)).deleteJob(id);
      show(options, { id, deleted: true }, () => `${id}  deleted`);
    });
}
