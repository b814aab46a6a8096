import type { TrainOn } from '@rowsmith/contracts';
import { type ChatMessage, type ChatTemplate, ModelError, renderWithSpans } from '@rowsmith/hf';
import type { ChatTurn } from './chat-turns.js';
import { DataError, quoted } from './errors.js';
import type { TextSpan } from './mask.js';
import type { ChatRow, Row } from './rows.js';

/** A text to be encoded, and the part of it that is to be learnt. */
export interface RowText {
  readonly line: number;
  readonly text: string;
  readonly spans: readonly TextSpan[];
  /** Chat templates print the beginning and the end of the text themselves; plain texts get bos as the tokenizer has it, and eos. */
  readonly plain: boolean;
}

export interface TextOptions {
  /** null: the model has none, and chat rows are refused. */
  readonly template: ChatTemplate | null;
  /** Of chat rows. assistant: every answer with weight 1; last: the last of these; all: every token of the conversation. */
  readonly trainOn: TrainOn;
}

/** One text for a row; for a chat whose template prints earlier answers differently, one for each answer. */
export function rowTexts(row: Row, line: number, options: TextOptions): readonly RowText[] {
  switch (row.shape) {
    case 'chat':
      return chatTexts(row, line, options);
    case 'prompt_completion': {
      const text = row.prompt + row.completion;
      return [{ line, text, spans: [{ start: row.prompt.length, end: text.length }], plain: true }];
    }
    case 'classification':
      throw new DataError('wrong_task', line, 'a row with a "label" is for encoders; a language model learns from texts and conversations');
    case 'text':
      return [{ line, text: row.text, spans: [{ start: 0, end: row.text.length }], plain: true }];
  }
}

function chatTexts({ messages: turns, tools }: ChatRow, line: number, { template, trainOn }: TextOptions): readonly RowText[] {
  if (template === null)
    throw new DataError('refused_by_template', line, 'the model has no chat template; use prompt/completion or text rows');
  const messages = turns.map(({ role, content, name, toolCalls, toolCallId }) => ({
    ...{ role, content },
    ...(name === undefined ? {} : { name }),
    ...(toolCalls === undefined ? {} : { tool_calls: toolCalls }),
    ...(toolCallId === undefined ? {} : { tool_call_id: toolCallId }),
  }));
  const options = tools === undefined ? {} : { tools };
  try {
    refuseControlTokens(turns, line, template);
    refuseUnprinted({ turns, tools, messages }, line, template);
    if (trainOn === 'all') {
      const text = template.render(messages, options);
      return [{ line, text, spans: [{ start: 0, end: text.length }], plain: false }];
    }
    const learnt = turns.flatMap((turn, i) => (turn.learn ? [i] : []));
    const chosen = new Set(trainOn === 'last' ? learnt.slice(-1) : learnt);
    return renderWithSpans(template, messages, options)
      .map(({ text, spans }) => ({ line, text, spans: spans.filter(({ message }) => chosen.has(message)), plain: false }))
      .filter(({ spans }) => spans.length > 0);
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    const refused = cause instanceof ModelError && (cause.code === 'template_raised' || cause.code === 'bad_messages');
    throw refused ? new DataError('refused_by_template', line, cause.message, { cause }) : cause;
  }
}

/** A template without tools would leave them, their calls and their answers out without a word, and the model would learn answers from nowhere. */
function refuseUnprinted(
  {
    turns,
    tools,
    messages,
  }: { readonly turns: readonly ChatTurn[]; readonly tools: ChatRow['tools'] | undefined; readonly messages: readonly ChatMessage[] },
  line: number,
  template: ChatTemplate,
): void {
  const calls = turns.flatMap(({ toolCalls }) => toolCalls ?? []);
  if (tools === undefined && calls.length === 0 && !turns.some(({ role }) => role === 'tool')) return;
  const text = template.render(messages, tools === undefined ? {} : { tools });
  const unprinted = (what: string) =>
    new DataError(
      'refused_by_template',
      line,
      `the chat template of the model does not print ${what}; use a model that was made for tools`,
    );
  if (tools !== undefined && text === template.render(messages)) throw unprinted('the definitions of tools');
  for (const call of calls) if (!text.includes(call.function.name)) throw unprinted(`the call of ${quoted(call.function.name)}`);
  for (const { role, content } of turns) if (role === 'tool' && !text.includes(content.trim())) throw unprinted("a tool's answer");
}

/**
 * A token that the template prints around messages ends or begins one wherever it stands. Other special tokens (SmolLM2 has `<filename>`, which
 * people write as well) are encoded as transformers does: as that token.
 */
function refuseControlTokens(turns: readonly ChatTurn[], line: number, template: ChatTemplate): void {
  const found = turns.flatMap(({ content, name, toolCalls }, i) =>
    [['content', content] as const, ['name', name ?? ''] as const, ['tool_calls', JSON.stringify(toolCalls ?? '')] as const].flatMap(
      ([field, value]) =>
        template.specialTokens.filter((token) => value.includes(token)).map((token) => ({ path: `messages[${i}].${field}`, token })),
    ),
  );
  if (found.length === 0) return;
  const frame = template.render(turns.map(({ role }) => ({ role, content: 'x' })));
  const control = found.find(({ token }) => frame.includes(token));
  if (control === undefined) return;
  const { path, token } = control;
  throw new DataError('special_token', line, `${path} holds ${quoted(token)}, which the tokenizer reads as a control token; take it out`);
}
