/** The flags that describe a job: for `jobs create` and `jobs estimate`. Every other field of the API is one --set away (`jobs options` lists them). */
import { scheduleNames, scorerNames } from '@rowsmith/contracts';
import { type Command, Option } from 'commander';
import { collect } from './context.js';
import type { JobFlags } from './job-body.js';

/** What the action of a command with `withJobFlags` gets. */
export interface JobFlagsWithFiles extends JobFlags {
  readonly trainingFile?: readonly string[];
  readonly validationFile?: string;
}

const fieldsHelp = `
Defaults are a decoder's; an encoder has its own. \`rowsmith jobs options\` lists every field that --set takes,
\`rowsmith jobs estimate --json\` shows the value that each would get.`;

export const withPatch = (command: Command): Command =>
  command
    .option('--file <job.json>', 'the request as JSON, - for stdin; other flags win over it, --set over them')
    .option('--set <path=value>', 'any field: row_sparse.rows=32; JSON where it is JSON, else text (repeatable)', collect);

export const withJobFlags = (command: Command): Command =>
  withPatch(command)
    .option('--model <id>', 'base model, e.g. smollm2-135m-instruct (required here or in --file)')
    .option('--training-file <path or file id>', 'JSONL to train on, with =2 behind it its weight (repeatable: several files)', collect)
    .option('--validation-file <path or file id>', 'JSONL held out for validation (default: none)')
    .option('--validation-split <share>', 'share of the training rows held out instead, up to 0.5 (default: none)')
    .option('--skip-invalid <percent>', 'bad lines that are left out; more is a fault (default: 0)')
    .option('--suffix <text>', 'part of the name of the tuned model')
    .option('--seed <n>', 'seed of everything random (default: drawn, and kept in the job)')
    .option('--epochs <n>', 'passes over the training file, 1 to 50 (default: 3, fewer for more than 3333 examples)')
    .option('--batch-size <n>', 'examples a step, 1 to 256 (default: 4)')
    .option('--learning-rate-multiplier <x>', 'of the learning rate (default: 1)')
    .option('--rows <n>', 'trained rows per matrix; below 1: share of the rows (default: 16)')
    .addOption(new Option('--scorer <name>', 'what makes a row important (default: l2)').choices(['auto', ...scorerNames]))
    .option('--learning-rate <x>', 'peak learning rate (default: 0.001)')
    .addOption(new Option('--schedule <name>', 'of the learning rate (default: linear)').choices(['auto', ...scheduleNames]))
    .option('--max-steps <n>', 'stop after so many optimiser steps (default: 0, as the epochs say)')
    .option('--max-seq-length <tokens>', 'kept of an example (default: 1024, or what the model takes)')
    .option('--prompt <text>', 'answered before and after the training (repeatable)', collect)
    .option('--metadata <key=value>', 'kept with the job (repeatable)', collect)
    .option('--priority <n>', '1 to 100, higher first (default: 50)')
    .option('--device-class <name>', 'workers that may run it: `rowsmith workers list` (default: any)')
    .option('--max-duration <seconds>', 'of all attempts together (default: no limit)')
    .option('--wandb <project>', 'send metrics to W&B, where the operator set it up')
    .option('--mlflow <experiment>', 'send metrics to MLflow, where the operator set it up')
    .option('--row-sparse <json>', 'any fields of the row_sparse object at once')
    .addHelpText('after', fieldsHelp);
