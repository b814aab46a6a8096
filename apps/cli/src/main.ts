import { Command } from 'commander';
import { adaptersCommand } from './commands/adapters.js';
import { filesCommand } from './commands/files.js';
import { jobsCommand } from './commands/jobs.js';
import { modelsCommand } from './commands/models.js';
import { runProgram } from './commands/run-program.js';
import { verifyCommand } from './commands/verify.js';
import { reportError } from './report-error.js';

const program = new Command('rowsmith')
  .description('Fine-tune foundation models by training only their important rows.')
  .version('0.1.0')
  .showHelpAfterError('(rowsmith --help lists the commands)')
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));

/** `up` and `doctor` have options of their own: everything after the word is theirs, --help too. */
for (const [name, description] of [
  ['up', 'start the API and one worker on this machine'],
  ['doctor', 'show what was found on this machine and what is missing'],
] as const) {
  program
    .command(name)
    .description(description)
    .allowUnknownOption()
    .allowExcessArguments()
    .helpOption(false)
    .action(async (_options: unknown, command: Command) => {
      process.exitCode = await runProgram(name, command.args);
    });
}
program
  .addCommand(jobsCommand())
  .addCommand(filesCommand())
  .addCommand(adaptersCommand())
  .addCommand(modelsCommand())
  .addCommand(verifyCommand());

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = reportError(error);
}
