/** What a job tells and leaves: events, metrics, checkpoints, scores. */

import { listAll } from '@rowsmith/client';
import type { JobCheckpoint, JobEvent, MetricPoint } from '@rowsmith/contracts';
import { type Command, Option } from 'commander';
import { CliError, exitCodes } from '../exit.js';
import { localTime, table } from '../table.js';
import { connect, type GlobalOptions, type ListFlags, pagesOf, print, show, wholeNumber, withConnection, withPages } from './context.js';
import { download, outOption } from './download.js';
import { eventText } from './job-text.js';

const short = (value: number | null | undefined, digits = 4) => (value === null || value === undefined ? '-' : value.toFixed(digits));
const metricsTable = (points: readonly MetricPoint[]) =>
  table(
    ['step', 'train loss', 'accuracy', 'valid loss', 'learning rate', 'gradient norm', 'tokens'],
    points.map((p) => [
      String(p.step),
      short(p.train_loss),
      short(p.train_mean_token_accuracy),
      short(p.valid_loss),
      p.learning_rate === null ? '-' : p.learning_rate.toExponential(3),
      short(p.grad_norm),
      String(p.tokens ?? '-'),
    ]),
  );

function addEvents(jobs: Command): void {
  withConnection(jobs.command('events <job>'))
    .description('what happened, oldest first; with --json one JSON object a line')
    .option('--follow', 'go on live until the job is finished, across broken connections')
    .option('--last-event-id <n>', 'with --follow: number of the last event already seen', wholeNumber(0))
    .action(async (id: string, options: GlobalOptions & { follow?: boolean; lastEventId?: number }) => {
      const client = await connect(options);
      const tell = (event: JobEvent) => print(options.json ? JSON.stringify(event) : eventText(event));
      if (options.follow) {
        const from = options.lastEventId === undefined ? {} : { lastEventId: options.lastEventId };
        for await (const event of client.streamEvents(id, from)) tell(event);
        return;
      }
      if (options.lastEventId !== undefined) throw new CliError('--last-event-id goes with --follow', exitCodes.usage);
      const events: JobEvent[] = [];
      for await (const event of listAll((page) => client.listEvents(id, page), { limit: 100 })) events.push(event);
      for (const event of events.reverse()) tell(event);
    });
}

interface MetricsFlags extends GlobalOptions {
  readonly format?: 'csv' | 'tensorboard';
  readonly out?: string;
  readonly afterStep?: number;
}
function addMetrics(jobs: Command): void {
  withConnection(jobs.command('metrics <job>'))
    .description('losses, accuracies, rates by step (docs/metrics.md defines them)')
    .addOption(new Option('--format <format>', 'a file instead of a table').choices(['csv', 'tensorboard']))
    .option(...outOption)
    .option('--after-step <n>', 'only steps above this one', wholeNumber(0))
    .action(async (id: string, options: MetricsFlags) => {
      const { format, afterStep } = options;
      const client = await connect(options);
      if (format === undefined) {
        if (options.out !== undefined) throw new CliError('--out goes with --format csv or tensorboard', exitCodes.usage);
        const points = await client.metrics(id, afterStep === undefined ? {} : { afterStep });
        return show(options, points, () => metricsTable(points));
      }
      if (afterStep !== undefined) throw new CliError('--after-step does not go with --format: files have all steps', exitCodes.usage);
      await download(options, () => client.metricsFile(id, format));
    });
}

export function addResultCommands(jobs: Command): void {
  addEvents(jobs);
  addMetrics(jobs);
  withPages(withConnection(jobs.command('checkpoints <job>')), 20)
    .description('checkpoints that are kept, newest first')
    .action(async (id: string, options: GlobalOptions & ListFlags) => {
      const client = await connect(options);
      const page = await pagesOf<JobCheckpoint>(options, (p) => client.checkpoints(id, p));
      const rows = page.data.map((c) => [
        c.id,
        String(c.step_number),
        short(c.metrics.train_loss),
        short(c.metrics.valid_loss ?? c.metrics.full_valid_loss),
        localTime(c.created_at),
      ]);
      show(options, page, () => table(['checkpoint', 'step', 'train loss', 'valid loss', 'created'], rows));
    });
  withConnection(jobs.command('scores <job>'))
    .description('the importance scores that chose the rows: their summary, or with --out all of them as safetensors')
    .option(...outOption)
    .action(async (id: string, options: GlobalOptions & { out?: string }) => {
      const client = await connect(options);
      if (options.out !== undefined) return download(options, () => client.scoresFile(id));
      const scores = await client.scores(id);
      const rows = scores.modules.map((m) => [
        ...[String(m.rows.channels), m.rows.mean.toPrecision(4), m.rows.max.toPrecision(4), String(m.rows.argmax)],
        m.name,
      ]);
      show(
        options,
        scores,
        () => `${scores.scorer}, ${scores.batches} batches\n${table(['rows', 'mean', 'largest', 'at row', 'matrix'], rows)}`,
      );
    });
}
