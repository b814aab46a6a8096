/** The three shapes of a training row, and what is wrong with one that has none of them. */
import { fault, type LineFault, quoted } from './errors.js';
import type { JsonValue } from './json-text.js';

export const rowShapes = ['chat', 'prompt_completion', 'text'] as const;
export type RowShape = (typeof rowShapes)[number];

export const chatRoles = ['system', 'user', 'assistant'] as const;
export type ChatRole = (typeof chatRoles)[number];

export interface ChatTurn {
  readonly role: ChatRole;
  readonly content: string;
  readonly name?: string;
  /** Of an assistant message: false where `weight` is 0, "don't learn this answer". */
  readonly learn: boolean;
}
export type Row =
  | { readonly shape: 'chat'; readonly messages: readonly ChatTurn[] }
  | { readonly shape: 'prompt_completion'; readonly prompt: string; readonly completion: string }
  | { readonly shape: 'text'; readonly text: string };

type JsonObject = { readonly [key: string]: JsonValue };
const isObject = (value: JsonValue | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isArray = (value: JsonValue | undefined): value is readonly JsonValue[] => Array.isArray(value);

const kindOf = (value: JsonValue) =>
  value === null ? 'null' : isArray(value) ? 'a list' : typeof value === 'object' ? 'an object' : typeof value;

/** A row of one mebibyte can have half a million faults; nobody reads them, and finding them would hold up everything else. */
export const maxFaultsOfRow = 100;

/** The row, or the faults found in it (about `maxFaultsOfRow` at most). `faults` is empty exactly when `row` is there. */
export interface RowReading {
  readonly shape: RowShape | null;
  readonly row: Row | null;
  readonly faults: readonly LineFault[];
}

export function readRow(value: JsonValue): RowReading {
  if (!isObject(value)) return refused(null, [fault('not_an_object', '', `is ${kindOf(value)}, not a JSON object`)]);
  const shape = shapeOf(value);
  if (shape === null) {
    return refused(null, [
      fault(
        'unknown_shape',
        '',
        'has none of the fields "messages", "prompt" with "completion", "text", one of which says what the row is',
      ),
    ]);
  }
  const faults: LineFault[] = [];
  const row = readers[shape](value, faults);
  return faults.length > 0 ? refused(shape, faults) : { shape, row, faults };
}

const refused = (shape: RowShape | null, faults: readonly LineFault[]): RowReading => ({ shape, row: null, faults });

function shapeOf(row: JsonObject): RowShape | null {
  if (Object.hasOwn(row, 'messages')) return 'chat';
  if (Object.hasOwn(row, 'prompt') || Object.hasOwn(row, 'completion')) return 'prompt_completion';
  return Object.hasOwn(row, 'text') ? 'text' : null;
}

const readers: Readonly<Record<RowShape, (row: JsonObject, faults: LineFault[]) => Row>> = {
  chat(row, faults) {
    onlyFields(row, ['messages'], '', faults);
    const list = row['messages'];
    const messages = isArray(list) ? list : [];
    if (!isArray(list)) faults.push(fault('wrong_type', 'messages', `must be a list of messages, is ${kindOf(list ?? null)}`));
    else if (list.length === 0) faults.push(fault('empty', 'messages', 'is empty'));
    const turns: ChatTurn[] = [];
    for (const [i, message] of messages.entries()) {
      if (faults.length >= maxFaultsOfRow) break;
      const turn = readTurn(message, `messages[${i}]`, faults);
      if (turn) turns.push(turn);
    }
    if (turns.length > 0 && turns.length === messages.length) checkOrder(turns, faults);
    return { shape: 'chat', messages: turns };
  },
  prompt_completion(row, faults) {
    onlyFields(row, ['prompt', 'completion'], '', faults);
    return {
      shape: 'prompt_completion',
      prompt: textField(row, 'prompt', '', faults),
      completion: textField(row, 'completion', '', faults),
    };
  },
  text(row, faults) {
    onlyFields(row, ['text'], '', faults);
    return { shape: 'text', text: textField(row, 'text', '', faults) };
  },
};

const laterFields = new Set([
  'tools',
  'tool_calls',
  'tool_call_id',
  'functions',
  'function_call',
  'parallel_tool_calls',
  'audio',
  'refusal',
]);

function onlyFields(object: JsonObject, known: readonly string[], path: string, faults: LineFault[]): void {
  for (const key of Object.keys(object)) {
    if (known.includes(key)) continue;
    if (faults.length >= maxFaultsOfRow) return;
    const at = joinPath(path, key);
    if (laterFields.has(key)) faults.push(fault('unsupported', at, 'is not supported; leave it out'));
    else faults.push(fault('unknown_field', at, `unknown field; known here: ${known.join(', ')}`));
  }
}

/** Keys come from a stranger's file: what is not a plain name is quoted and cut. */
function joinPath(path: string, key: string): string {
  if (!/^[A-Za-z_][A-Za-z0-9_-]{0,39}$/.test(key)) return `${path}[${quoted(key)}]`;
  return path === '' ? key : `${path}.${key}`;
}

function readTurn(message: JsonValue, path: string, faults: LineFault[]): ChatTurn | null {
  if (!isObject(message)) {
    faults.push(fault('wrong_type', path, `must be an object with role and content, is ${kindOf(message)}`));
    return null;
  }
  const role = readRole(message, path, faults);
  onlyFields(message, role === 'assistant' ? ['role', 'content', 'name', 'weight'] : ['role', 'content', 'name'], path, faults);
  // An empty system message is a known way to switch a template's own one off.
  const content = textField(message, 'content', path, faults, role === 'system');
  const name = Object.hasOwn(message, 'name') ? textField(message, 'name', path, faults) : null;
  const weight = message['weight'];
  if (role === 'assistant' && weight !== undefined && weight !== 0 && weight !== 1)
    faults.push(fault('invalid_weight', `${path}.weight`, 'must be 0 (do not learn this answer) or 1'));
  return role && { role, content, ...(name === null ? {} : { name }), learn: role === 'assistant' && weight !== 0 };
}

function readRole(message: JsonObject, path: string, faults: LineFault[]): ChatRole | null {
  const role = message['role'];
  const known = chatRoles.find((name) => name === role);
  if (known) return known;
  const at = `${path}.role`;
  if (role === undefined) faults.push(fault('missing_field', at, 'is missing'));
  else if (typeof role !== 'string') faults.push(fault('wrong_type', at, `must be text, is ${kindOf(role)}`));
  else if (role === 'tool' || role === 'function') faults.push(fault('unsupported', at, `the role ${quoted(role)} is not supported`));
  else if (role === 'developer') faults.push(fault('unsupported', at, 'the role "developer" is not supported; use "system"'));
  else faults.push(fault('unknown_role', at, `unknown role ${quoted(role)}; use ${chatRoles.join(', ')}`));
  return null;
}

function textField(object: JsonObject, key: string, path: string, faults: LineFault[], mayBeEmpty = false): string {
  const at = joinPath(path, key);
  const value = object[key];
  if (value === undefined) faults.push(fault('missing_field', at, 'is missing'));
  else if (typeof value !== 'string') {
    const parts = isArray(value) && key === 'content' ? '; lists of parts are not supported' : '';
    faults.push(fault('wrong_type', at, `must be text, is ${kindOf(value)}${parts}`));
  } else {
    if (!mayBeEmpty && value.trim() === '') faults.push(fault('empty', at, value === '' ? 'is empty' : 'holds only blanks'));
    if (value.includes('\0')) faults.push(fault('nul', at, 'holds a NUL character (\\u0000)'));
    if (/\p{Surrogate}/u.test(value)) faults.push(fault('lone_surrogate', at, 'holds half of a character (a lone \\ud800 to \\udfff)'));
    return value;
  }
  return '';
}

/** What OpenAI asks of a conversation: something to learn, and an answer at its end. */
function checkOrder(turns: readonly ChatTurn[], faults: LineFault[]): void {
  if (!turns.some((turn) => turn.role === 'assistant')) {
    faults.push(fault('no_assistant', 'messages', 'there is no assistant message, so nothing to learn'));
  } else if (turns[turns.length - 1]?.role !== 'assistant') {
    faults.push(fault('last_not_assistant', `messages[${turns.length - 1}].role`, 'the last message must be from the assistant'));
  } else if (!turns.some((turn) => turn.learn)) {
    faults.push(fault('no_assistant', 'messages', 'every assistant message has weight 0, so there is nothing to learn'));
  }
}
