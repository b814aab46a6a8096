/** Answers of the base and of the tuned model, side by side. */
import type { JobEvent } from '@rowsmith/contracts';

export interface Answers {
  readonly prompt: string;
  before: string | null;
  after: string | null;
}

/** Collects the `sample` events of a job, in the order of the prompts. */
export function collectAnswers(prompts: readonly string[]): { readonly answers: Answers[]; add(event: JobEvent): void } {
  const answers: Answers[] = prompts.map((prompt) => ({ prompt, before: null, after: null }));
  return {
    answers,
    add({ data }) {
      if (data['type'] !== 'sample') return;
      const found = answers.find((a) => a.prompt === data['prompt']);
      const text = typeof data['completion'] === 'string' ? data['completion'].trim() : null;
      if (found && data['when'] === 'before') found.before = text;
      if (found && data['when'] === 'after') found.after = text;
    },
  };
}

/** Words wrapped to `width` characters; longer words are cut. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const paragraph of text.split('\n')) {
    let line = '';
    for (const word of paragraph.split(' ')) {
      let rest = word;
      if (line !== '' && line.length + 1 + rest.length > width) {
        lines.push(line);
        line = '';
      }
      while (rest.length > width) {
        lines.push(rest.slice(0, width));
        rest = rest.slice(width);
      }
      line = line === '' ? rest : `${line} ${rest}`;
    }
    lines.push(line);
  }
  return lines;
}

/** Two columns under each prompt. `columns`: width of the terminal. */
export function sideBySide(answers: readonly Answers[], columns: number): string {
  const width = Math.max(24, Math.floor((Math.min(columns, 140) - 7) / 2));
  const blocks = answers.map(({ prompt, before, after }) => {
    const left = wrap(before ?? '(no answer)', width);
    const right = wrap(after ?? '(no answer)', width);
    const rows = Array.from(
      { length: Math.max(left.length, right.length) },
      (_, i) => `  ${(left[i] ?? '').padEnd(width)} | ${right[i] ?? ''}`,
    );
    return [...wrap(prompt, Math.min(columns, 140) - 4).map((l) => `> ${l}`), ...rows].join('\n');
  });
  return [`  ${'base model'.padEnd(width)} | tuned model`, ...blocks].join('\n\n');
}
