/** Completion script of fish: one `complete` line for each word, under the condition of the command it belongs to. */
import type { CommandWords } from './command-words.js';

const quote = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

function linesOf({ path, commands, options, names, takesPaths }: CommandWords): string[] {
  const when = `complete -c rowsmith -n ${quote(`__rowsmith_at ${quote(path)}`)}`;
  return [
    ...commands.map(({ name, description }) => `${when} -f -a ${name} -d ${quote(description)}`),
    ...(names.length === 0 ? [] : [`${when} -f -a ${quote(names.join(' '))}`]),
    ...options.map(({ name, description, value, names: values }) => {
      const how = { none: '', names: ` -x -a ${quote(values.join(' '))}`, path: ' -r -F', free: ' -x' }[value];
      return `${when} -l ${name.slice(2)}${how} -d ${quote(description)}`;
    }),
    ...(takesPaths ? [`${when} -F`] : []),
  ];
}

export function fishCompletion(all: readonly CommandWords[]): string {
  const paths = all.filter(({ path }) => path !== '').map(({ path }) => quote(path));
  return `# fish completion of rowsmith: rowsmith completion fish | source
function __rowsmith_at
  set -l at
  for word in (commandline -opc)[2..]
    set -l next (string join -- ' ' $at $word)
    if contains -- $next ${paths.join(' ')}
      set at $next
    end
  end
  test "$at" = "$argv[1]"
end
complete -c rowsmith -f
${all.flatMap(linesOf).join('\n')}
`;
}
