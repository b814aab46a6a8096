/** Completion scripts of bash and zsh: both find the command by walking over the words, then offer what can follow. */
import type { CommandWords } from './command-words.js';

const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

/** `case` branches that add a word to the path when it is a command there. */
const walk = (all: readonly CommandWords[]) =>
  all
    .filter(({ path }) => path !== '')
    .map(({ path }) => quote(path))
    .join('|');

/** After an option with a value: what the value may be. */
function valueBranches(all: readonly CommandWords[], offer: (names: readonly string[]) => string, paths: string): string {
  return all
    .flatMap(({ path, options }) =>
      options
        .filter(({ value }) => value !== 'none')
        .map(({ name, value, names }) => {
          const action = value === 'names' ? offer(names) : value === 'path' ? paths : ':';
          return `    ${quote(`${path} ${name}`)}) ${action}; return ;;`;
        }),
    )
    .join('\n');
}

const wordsOf = ({ commands, options, names }: CommandWords) => [...commands.map((c) => c.name), ...names, ...options.map((o) => o.name)];

export function bashCompletion(all: readonly CommandWords[]): string {
  const offer = (names: readonly string[]) => `COMPREPLY=($(compgen -W ${quote(names.join(' '))} -- "$cur"))`;
  const branches = all.map((command) => {
    const paths = command.takesPaths ? `; [[ $cur == -* ]] || _rowsmith_paths` : '';
    return `    ${quote(command.path)}) ${offer(wordsOf(command))}${paths} ;;`;
  });
  return `# bash completion of rowsmith: eval "$(rowsmith completion bash)"
_rowsmith_paths() {
  local path
  compopt -o filenames 2>/dev/null
  while IFS= read -r path; do COMPREPLY+=("$path"); done < <(compgen -f -- "$cur")
}
_rowsmith() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} at='' i next
  COMPREPLY=()
  # bash cuts --scorer=l2 into three words.
  if [[ $cur == = ]]; then cur=''; elif [[ $prev == = ]]; then prev=\${COMP_WORDS[COMP_CWORD-2]}; fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    next="\${at:+$at }\${COMP_WORDS[i]}"
    case $next in ${walk(all)}) at=$next ;; esac
  done
  case "$at $prev" in
${valueBranches(all, offer, '_rowsmith_paths')}
  esac
  case $at in
${branches.join('\n')}
  esac
}
complete -F _rowsmith rowsmith
`;
}

/** `at`, not `path`: zsh ties that name to PATH. */
export function zshCompletion(all: readonly CommandWords[]): string {
  const offer = (names: readonly string[]) => `compadd -- ${names.map(quote).join(' ')}`;
  const branches = all.map((command) => {
    const paths = command.takesPaths ? '; _files' : '';
    const words = wordsOf(command);
    return `    ${quote(command.path)}) ${words.length === 0 ? ':' : offer(words)}${paths} ;;`;
  });
  return `#compdef rowsmith
# zsh completion of rowsmith: source <(rowsmith completion zsh), after compinit
_rowsmith() {
  local at='' next prev=\${words[CURRENT-1]}
  local -i i
  for ((i = 2; i < CURRENT; i++)); do
    next="\${at:+$at }\${words[i]}"
    case $next in (${walk(all)}) at=$next ;; esac
  done
  case "$at $prev" in
${valueBranches(all, offer, '_files').replaceAll(/^ {4}'/gm, "    ('")}
  esac
  case $at in
${branches.join('\n').replaceAll(/^ {4}'/gm, "    ('")}
  esac
}
compdef _rowsmith rowsmith
`;
}
