import { Command } from 'commander';
import { localTime, table } from '../table.js';
import { connect, type GlobalOptions, show, withConnection } from './context.js';
import { limitsText } from './limits-text.js';
import { runProgram } from './run-program.js';

export function modelsCommand(): Command {
  const models = new Command('models').description('base models and fine-tuned models');
  models
    .command('add <source>')
    .description('pack a base model: a Hugging Face folder, a .gguf file, or a hub id[@revision]')
    .allowUnknownOption()
    .allowExcessArguments()
    .helpOption(false)
    .action(async (_source: string, _options: unknown, command: Command) => {
      process.exitCode = await runProgram('add-model', command.args);
    });
  withConnection(models.command('list'))
    .description('models that jobs can name, and what they made')
    .action(async (options: GlobalOptions) => {
      const page = await (await connect(options)).listModels();
      const rows = page.data.map((m) => [m.id, m.owned_by, localTime(m.created)]);
      show(options, page, () => table(['model', 'owner', 'created'], rows));
    });
  withConnection(models.command('get <model>'))
    .description('one model')
    .action(async (id: string, options: GlobalOptions) => {
      const model = await (await connect(options)).getModel(id);
      show(options, model, () => `${model.id}  ${model.owned_by}  ${localTime(model.created)}`);
    });
  withConnection(models.command('limits <model>'))
    .description('what a job on a base model may ask for: bounds and values of every field, file sizes, quotas of your project')
    .action(async (id: string, options: GlobalOptions) => {
      const limits = await (await connect(options)).modelLimits(id);
      show(options, limits, () => limitsText(limits));
    });
  withConnection(models.command('delete <model>'))
    .description('delete a fine-tuned model; base models stay')
    .action(async (id: string, options: GlobalOptions) => {
      await (await connect(options)).deleteModel(id);
      show(options, { id, deleted: true }, () => `${id}  deleted`);
    });
  return models;
}
