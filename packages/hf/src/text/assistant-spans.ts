import { ModelError } from '../errors.js';
import type { ChatMessage, ChatTemplate, RenderOptions } from './chat-template.js';

/** UTF-16 units of the text. `message`: index in the conversation. */
export interface AssistantSpan {
  readonly start: number;
  readonly end: number;
  readonly message: number;
}
export interface SpannedText {
  readonly text: string;
  readonly spans: readonly AssistantSpan[];
}

/**
 * The rendered conversation with the part of each assistant turn that the model has to produce, its end token included, blanks after it not.
 * Order: the template's own `{% generation %}` tags; else the prefix rule (the text up to turn k, with generation prompt, and the text with turn k
 * are both prefixes of the whole, but for special tokens that close a text); else one text for each assistant turn, as inference sees it; else `bad_template` with the first difference.
 * So the result has one element, except in the third case. A conversation without an assistant turn gives one text without spans.
 */
export function renderWithSpans(
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  options: Pick<RenderOptions, 'tools'> = {},
): readonly SpannedText[] {
  if (template.marked) return [taggedSpans(template, messages, options)];
  const text = template.render(messages, options);
  const turns = messages.flatMap((message, k) => (message.role === 'assistant' ? [k] : []));
  const spans: AssistantSpan[] = [];
  for (const k of turns) {
    const turn = turnSpan(template, messages, k, options, k === messages.length - 1 ? text : undefined);
    const span = spanIn(text, turn, template.specialTokens);
    if (!span) return turns.map((other) => oneTurn(template, messages, other, options));
    spans.push(span);
  }
  return [{ text, spans }];
}

/**
 * The span of a turn in the text of the whole conversation; null when that prints the turn differently. Phi-3 closes every text with one more end
 * token: after the last end token that both texts share, a turn's own text may then hold blanks and special tokens only.
 */
function spanIn(
  whole: string,
  turn: { readonly text: string; readonly span: AssistantSpan },
  specialTokens: readonly string[],
): AssistantSpan | null {
  if (whole.startsWith(turn.text)) return turn.span;
  let shared = 0;
  while (shared < turn.text.length && whole[shared] === turn.text[shared]) shared++;
  const ends = specialTokens.map((token) => {
    const at = shared < token.length ? -1 : turn.text.lastIndexOf(token, shared - token.length);
    return at < 0 ? 0 : at + token.length;
  });
  const end = Math.max(0, ...ends);
  const rest = specialTokens.reduce((left, token) => left.replaceAll(token, ''), turn.text.slice(end));
  return end > turn.span.start && rest.trim() === '' ? { ...turn.span, end } : null;
}

function oneTurn(template: ChatTemplate, messages: readonly ChatMessage[], k: number, options: Pick<RenderOptions, 'tools'>): SpannedText {
  const { text, span } = turnSpan(template, messages, k, options);
  return { text, spans: [span] };
}

/** Text up to and with turn k, and the part that turn k adds after the generation prompt. */
function turnSpan(
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  k: number,
  options: Pick<RenderOptions, 'tools'>,
  known?: string,
): { readonly text: string; readonly span: AssistantSpan } {
  const prompt = template.render(messages.slice(0, k), { ...options, addGenerationPrompt: true });
  const rendered = known ?? template.render(messages.slice(0, k + 1), options);
  const text = rendered.startsWith(prompt) ? rendered : prompt + answerWithoutSystem(template, messages, k, options, prompt, rendered);
  return { text, span: { start: prompt.length, end: withoutTail(text, prompt.length, template.specialTokens), message: k } };
}

/**
 * Mistral's templates print the system message into the last turn, and only when a question is the last: with the answer it is gone. What turn k adds
 * is then read from the conversation without the system message, and stands after the prompt that inference gives.
 */
function answerWithoutSystem(
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  k: number,
  options: Pick<RenderOptions, 'tools'>,
  prompt: string,
  rendered: string,
): string {
  if (messages[0]?.role === 'system' && k > 1) {
    const question = template.render(messages.slice(1, k), { ...options, addGenerationPrompt: true });
    const answered = template.render(messages.slice(1, k + 1), options);
    if (answered.startsWith(question)) return answered.slice(question.length);
  }
  let at = 0;
  while (rendered[at] === prompt[at]) at++;
  const near = JSON.stringify(rendered.slice(Math.max(0, at - 20), at + 20));
  throw new ModelError(
    'bad_template',
    `chat template: the prompt for turn ${k} is not the beginning of the text with that turn (first difference at character ${at}, near ${near}), so the answer cannot be told from the prompt`,
  );
}

/** Templates print a newline after the end token; the model never has to say it. */
function withoutTail(text: string, start: number, specialTokens: readonly string[]): number {
  const end = start + text.slice(start).trimEnd().length;
  return specialTokens.some((token) => text.endsWith(token, end) && end - token.length >= start) ? end : text.length;
}

function taggedSpans(template: ChatTemplate, messages: readonly ChatMessage[], options: Pick<RenderOptions, 'tools'>): SpannedText {
  const turns = messages.flatMap((message, k) => (message.role === 'assistant' ? [k] : []));
  const [open, close] = unusedMarks(JSON.stringify([messages, options.tools ?? null]));
  const marked = template.marked?.(messages, options, open, close) ?? '';
  const spans: AssistantSpan[] = [];
  let text = '';
  let start: number | null = null;
  for (const part of marked.split(new RegExp(`([${open}${close}])`))) {
    if (part === open) start = text.length;
    else if (part === close && start !== null) {
      spans.push({ start, end: text.length, message: turns[spans.length] ?? -1 });
      start = null;
    } else text += part;
  }
  if (start !== null || spans.length !== turns.length || text !== template.render(messages, options)) {
    throw new ModelError(
      'bad_template',
      `chat template: its generation tags enclose ${spans.length} parts, the conversation has ${turns.length} assistant turns`,
    );
  }
  return { text, spans };
}

/** Two private-use characters that the conversation does not hold. */
function unusedMarks(text: string): readonly [string, string] {
  const free: string[] = [];
  for (let code = 0xe0f0; code <= 0xf8ff && free.length < 2; code++) {
    const mark = String.fromCharCode(code);
    if (!text.includes(mark)) free.push(mark);
  }
  const [open, close] = free;
  if (open === undefined || close === undefined)
    throw new ModelError('bad_messages', 'messages: hold every private-use character; remove some');
  return [open, close];
}
