import { resolve } from 'node:path';
import { Command } from 'commander';
import { pullAdapter } from '../pull-adapter.js';
import { connect, type GlobalOptions, show, withConnection } from './context.js';

export function adaptersCommand(): Command {
  const adapters = new Command('adapters').description('download trained adapters');
  withConnection(adapters.command('pull <job>'))
    .description('download the adapter of a job as a folder that PEFT, vLLM and llama.cpp load')
    .option('--out <folder>', 'where to put it (default: ./<job id>)')
    .option('--format <format>', 'peft or rows', 'peft')
    .action(async (job: string, options: GlobalOptions & { out?: string; format: string }) => {
      const folder = resolve(options.out ?? job);
      const files = await pullAdapter(await connect(options), job, options.format, folder);
      show(options, { folder, files }, () => `${folder}\n${files.map((f) => `  ${f.name}  ${f.bytes} bytes`).join('\n')}`);
    });
  return adapters;
}
