import { resolve } from 'node:path';
import { Command } from 'commander';
import { pullAdapter } from '../pull-adapter.js';
import { connect, type GlobalOptions, show, withConnection } from './context.js';

export function adaptersCommand(): Command {
  const adapters = new Command('adapters').description('download trained adapters');
  withConnection(adapters.command('pull <job>'))
    .description('download the adapter of a job as a folder that PEFT, vLLM and llama.cpp load')
    .option('--out <folder>', 'where to put it (default: ./<job id>, with --checkpoint its id too)')
    .option('--format <format>', 'peft or rows', 'peft')
    .option('--checkpoint <id>', 'as it was at this checkpoint (jobs checkpoints lists them), of a job in any state')
    .action(async (job: string, options: GlobalOptions & { out?: string; format: string; checkpoint?: string }) => {
      const { format, checkpoint } = options;
      const folder = resolve(options.out ?? (checkpoint === undefined ? job : `${job}-${checkpoint}`));
      const files = await pullAdapter(await connect(options), job, { format, checkpoint }, folder);
      show(options, { folder, files }, () => `${folder}\n${files.map((f) => `  ${f.name}  ${f.bytes} bytes`).join('\n')}`);
    });
  return adapters;
}
