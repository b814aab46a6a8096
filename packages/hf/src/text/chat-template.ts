import { join } from 'node:path';
import { ModelError } from '../errors.js';
import { readLimited } from '../read-limited.js';
import { type CompiledTemplate, compileTemplate } from './compile-template.js';
import { markGeneration } from './generation-tags.js';
import { checkTemplateInput } from './template-values.js';
import { topLevelMember } from './top-level-member.js';

/** One chat message as the template sees it: role, content, and whatever else (tool_calls, name) the data carries. */
export type ChatMessage = Readonly<Record<string, unknown>> & { readonly role: string };

export interface RenderOptions {
  readonly addGenerationPrompt?: boolean;
  readonly tools?: readonly unknown[] | undefined;
}

/** A model's chat template. The same text as transformers' apply_chat_template(tokenize=False), or an error; dates are never in it. */
export interface ChatTemplate {
  render(messages: readonly ChatMessage[], options?: RenderOptions): string;
  /** The template has `{% generation %}` tags: `marked` renders with `open` and `close` around what they enclose. */
  readonly marked: ((messages: readonly ChatMessage[], options: RenderOptions, open: string, close: string) => string) | null;
  /** Contents of the tokenizer's special tokens. */
  readonly specialTokens: readonly string[];
}

/**
 * Reads the chat template of a packed model or Hugging Face folder. `strftime_now` is left undefined on purpose: a prompt with today's date
 * would give another tokenised data set tomorrow; templates that ask for it have a fixed date for that case.
 */
export async function loadChatTemplate(dir: string): Promise<ChatTemplate> {
  const file = 'tokenizer_config.json';
  const config = parsed(await read(join(dir, file), file), file);
  const source = templateSource(config, file);
  if (source === null) {
    throw new ModelError('bad_template', 'has no chat_template; give the model one, or use prompt/completion or text data', { file });
  }
  return chatTemplate(source, namedTokens(config), await specialTokensOf(dir), file);
}

/** `named`: bos_token, eos_token and the like, as the template can print them. */
export function chatTemplate(
  source: string,
  named: Readonly<Record<string, string>>,
  specialTokens: readonly string[],
  file = 'chat template',
): ChatTemplate {
  const plain = compileTemplate(source, file);
  const tagged = markGeneration(source);
  const withMarks: CompiledTemplate | null = tagged && compileTemplate(tagged.source, file);
  const variables = (messages: readonly ChatMessage[], options: RenderOptions) => {
    checkTemplateInput(messages, 'messages');
    checkTemplateInput(options.tools, 'tools');
    return {
      ...named,
      messages,
      tools: options.tools ?? null,
      documents: null,
      add_generation_prompt: options.addGenerationPrompt ?? false,
    };
  };
  return {
    specialTokens,
    render: (messages, options = {}) => plain(variables(messages, options)),
    marked:
      withMarks &&
      tagged &&
      ((messages, options, open, close) => withMarks({ ...variables(messages, options), [tagged.open]: open, [tagged.close]: close })),
  };
}

/** Text, or the entry called "default" of a list of named templates; null when there is none. */
export function templateSource(config: Readonly<Record<string, unknown>>, file: string): string | null {
  const found = config['chat_template'];
  if (found === undefined || found === null) return null;
  if (typeof found === 'string') return found;
  if (Array.isArray(found)) {
    const entry = found.find((e: unknown) => isRecord(e) && e['name'] === 'default');
    if (isRecord(entry) && typeof entry['template'] === 'string') return entry['template'];
  }
  throw new ModelError('bad_template', 'chat_template is neither text nor a list with a "default" entry', { file });
}

function namedTokens(config: Readonly<Record<string, unknown>>): Record<string, string> {
  const named: Record<string, string> = {};
  for (const [key, value] of Object.entries(config)) {
    const content = isRecord(value) ? value['content'] : value;
    if (/^[a-z_]+_token$/.test(key) && typeof content === 'string') named[key] = content;
  }
  return named;
}

async function specialTokensOf(dir: string): Promise<string[]> {
  const file = 'tokenizer.json';
  const text = await read(join(dir, file), file);
  const member = topLevelMember(text, 'added_tokens');
  const { added_tokens: added } = parsed(member === null ? text : `{"added_tokens":${member}}`, file);
  if (!Array.isArray(added)) return [];
  return added.flatMap((t: unknown) => (isRecord(t) && t['special'] === true && typeof t['content'] === 'string' ? [t['content']] : []));
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function read(path: string, file: string): Promise<string> {
  return readLimited(path).catch((cause: unknown) => {
    throw unreadable(file, cause);
  });
}

function parsed(text: string, file: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw unreadable(file, cause);
  }
  if (!isRecord(value)) throw new ModelError('bad_tokenizer', 'is not a JSON object', { file });
  return value;
}

const unreadable = (file: string, cause: unknown) =>
  new ModelError('bad_tokenizer', `cannot be read (${(cause as Error).message})`, { file, cause });
