/** The command tree. */
import { Command, type CommanderError } from 'commander';
import { adaptersCommand } from './commands/adapters.js';
import { completionCommand } from './commands/completion.js';
import { filesCommand } from './commands/files.js';
import { jobsCommand } from './commands/jobs.js';
import { keysCommand } from './commands/keys.js';
import { modelsCommand } from './commands/models.js';
import { projectsCommand } from './commands/projects.js';
import { runProgram } from './commands/run-program.js';
import { verifyCommand } from './commands/verify.js';
import { webhooksCommand } from './commands/webhooks.js';
import { workersCommand } from './commands/workers.js';
import { usageErrorLine } from './report-error.js';

const exitCodeHelp = `
Exit codes: 0 ok; 1 the job failed, a verification found a broken link, or a bug; 2 wrong use; 3 refused by the API
(wrong key, not found, not valid); 4 the API cannot be reached; 5 the job was cancelled; 6 the API is failing or overloaded: try again.
With --json stdout has one JSON document (events: one object a line), and an error is a JSON line on stderr.`;

function everyCommand(command: Command, act: (command: Command) => void): void {
  act(command);
  for (const inner of command.commands) everyCommand(inner, act);
}

/** `onExit` is called after help, the version, or a usage error was printed; it must not return. `json`: a usage error is a JSON line, and no help follows. */
export function buildProgram(onExit: (error: CommanderError) => never, json = false): Command {
  const program = new Command('rowsmith')
    .description('Fine-tune foundation models by training only their important rows.')
    .version('0.1.0')
    .addHelpText('after', exitCodeHelp);
  // They have options of their own: everything after the word is theirs, --help too.
  for (const [name, description] of [
    ['up', 'start the API and one worker on this machine'],
    ['doctor', 'show what was found on this machine and what is missing'],
    ['backup', 'copy an installation into a new folder, while it works or not'],
    ['restore', 'put a backup into an installation that has nothing yet'],
  ] as const) {
    program
      .command(name)
      .description(description)
      .allowUnknownOption()
      .allowExcessArguments()
      .helpOption(false)
      .action(async (_options: unknown, command: Command) => {
        const program = name === 'restore' ? 'backup' : name;
        process.exitCode = await runProgram(program, name === 'up' || name === 'doctor' ? command.args : [name, ...command.args]);
      });
  }
  program
    .addCommand(jobsCommand())
    .addCommand(filesCommand())
    .addCommand(adaptersCommand())
    .addCommand(modelsCommand())
    .addCommand(verifyCommand())
    .addCommand(webhooksCommand())
    .addCommand(workersCommand())
    .addCommand(keysCommand())
    .addCommand(projectsCommand())
    .addCommand(completionCommand(program));
  // Commands that are added whole take none of this over from their parent.
  everyCommand(program, (command) => {
    command.exitOverride(onExit).showHelpAfterError(json ? false : '(--help lists what there is)');
    if (json) command.configureOutput({ outputError: (text, write) => write(usageErrorLine(text)) });
  });
  return program;
}
