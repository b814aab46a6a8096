import { Argument, Command } from 'commander';
import { commandWords } from '../completion/command-words.js';
import { fishCompletion } from '../completion/fish.js';
import { bashCompletion, zshCompletion } from '../completion/posix-shells.js';

const scripts = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } as const;

/** `program` is read when the command runs: the tree is whole then. */
export function completionCommand(program: Command): Command {
  return new Command('completion')
    .description('print a completion script: eval "$(rowsmith completion bash)", or the line at the top of the script for zsh and fish')
    .addArgument(new Argument('<shell>').choices(Object.keys(scripts)))
    .action((shell: keyof typeof scripts) => {
      process.stdout.write(scripts[shell](commandWords(program)));
    });
}
