/** What can stand at each place of a command line, read from the command tree: the completions of all shells are made from it. */
import type { Command, Option } from 'commander';

export interface OptionWords {
  /** e.g. `--scorer` */
  readonly name: string;
  readonly description: string;
  /** none: a switch; names: one of these; path: a file or folder; free: anything. */
  readonly value: 'none' | 'names' | 'path' | 'free';
  readonly names: readonly string[];
}
export interface CommandWords {
  /** Words after `rowsmith`, e.g. `jobs create`; empty: the program. */
  readonly path: string;
  readonly commands: readonly { readonly name: string; readonly description: string }[];
  readonly options: readonly OptionWords[];
  /** What its argument may be, where that is one of a few. */
  readonly names: readonly string[];
  /** Its arguments name files on this machine. */
  readonly takesPaths: boolean;
}

const namesPath = (placeholder: string) => /path|folder|\.json/.test(placeholder);

function optionWords(option: Option): OptionWords[] {
  if (option.long === undefined || option.long === null || option.hidden) return [];
  const names = option.argChoices ?? [];
  const isSwitch = !option.required && !option.optional;
  const value = isSwitch ? 'none' : names.length > 0 ? 'names' : namesPath(option.flags) ? 'path' : 'free';
  return [{ name: option.long, description: option.description, value, names }];
}

/** The command itself first, then all below it. */
export function commandWords(command: Command, path = ''): CommandWords[] {
  const helper = command.createHelp();
  // Programs that parse their own options show none here.
  const options = helper.visibleOptions(command).flatMap(optionWords);
  const commands = command.commands.map((c) => ({ name: c.name(), description: c.description() }));
  const takesPaths = command.registeredArguments.some((argument) => namesPath(argument.name()) || argument.name() === 'source');
  const names = command.registeredArguments.flatMap((argument) => argument.argChoices ?? []);
  const own = { path, commands, options, names, takesPaths };
  return [own, ...command.commands.flatMap((inner) => commandWords(inner, path === '' ? inner.name() : `${path} ${inner.name()}`))];
}
