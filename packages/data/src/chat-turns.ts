/** Messages of a conversation, as OpenAI's fine-tuning files have them. */
import { fault, type LineFault, quoted } from './errors.js';
import { checkedText, isArray, isObject, type JsonObject, joinPath, kindOf, maxFaultsOfRow, onlyFields, textField } from './fields.js';
import { type JsonValue, parseJson } from './json-text.js';

export const chatRoles = ['system', 'user', 'assistant', 'tool'] as const;
export type ChatRole = (typeof chatRoles)[number];

export interface ToolCall {
  readonly id?: string;
  readonly type: 'function';
  /** Arguments as an object where they are one: what templates print. */
  readonly function: { readonly name: string; readonly arguments: JsonValue };
}
export interface ChatTurn {
  readonly role: ChatRole;
  readonly content: string;
  readonly name?: string;
  readonly toolCalls?: readonly ToolCall[];
  readonly toolCallId?: string;
  /** Of an assistant message: false where `weight` is 0, "don't learn this answer". */
  readonly learn: boolean;
}

export function readTurns(list: JsonValue | undefined, path: string, faults: LineFault[]): readonly ChatTurn[] {
  const messages = isArray(list) ? list : [];
  if (!isArray(list)) faults.push(fault('wrong_type', path, `must be a list of messages, is ${kindOf(list ?? null)}`));
  else if (list.length === 0) faults.push(fault('empty', path, 'is empty'));
  const turns: ChatTurn[] = [];
  for (const [i, message] of messages.entries()) {
    if (faults.length >= maxFaultsOfRow) break;
    const turn = readTurn(message, `${path}[${i}]`, faults);
    if (turn) turns.push(turn);
  }
  if (turns.length > 0 && turns.length === messages.length) checkOrder(turns, path, faults);
  return turns;
}

const fieldsOf: Readonly<Record<ChatRole, readonly string[]>> = {
  system: ['role', 'content', 'name'],
  user: ['role', 'content', 'name'],
  assistant: ['role', 'content', 'name', 'weight', 'tool_calls', 'function_call'],
  tool: ['role', 'content', 'name', 'tool_call_id'],
};

function readTurn(message: JsonValue, path: string, faults: LineFault[]): ChatTurn | null {
  if (!isObject(message)) {
    faults.push(fault('wrong_type', path, `must be an object with role and content, is ${kindOf(message)}`));
    return null;
  }
  const role = readRole(message, path, faults);
  onlyFields(message, fieldsOf[role ?? 'user'], path, faults);
  if (role === 'assistant' && Object.hasOwn(message, 'function_call')) olderForm('function_call', 'tool_calls', path, faults);
  const toolCalls =
    role === 'assistant' && Object.hasOwn(message, 'tool_calls') ? readToolCalls(message['tool_calls'], path, faults) : null;
  const content = readContent(message, path, faults, role, toolCalls !== null);
  const name = Object.hasOwn(message, 'name') ? textField(message, 'name', path, faults) : null;
  const toolCallId = Object.hasOwn(message, 'tool_call_id') && role === 'tool' ? textField(message, 'tool_call_id', path, faults) : null;
  const weight = message['weight'];
  if (role === 'assistant' && weight !== undefined && weight !== 0 && weight !== 1)
    faults.push(fault('invalid_weight', `${path}.weight`, 'must be 0 (do not learn this answer) or 1'));
  return (
    role && {
      ...{ role, content },
      ...(name === null ? {} : { name }),
      ...(toolCalls === null ? {} : { toolCalls }),
      ...(toolCallId === null ? {} : { toolCallId }),
      learn: role === 'assistant' && weight !== 0,
    }
  );
}

/** What OpenAI's files had before tools. */
export function olderForm(name: string, now: string, path: string, faults: LineFault[]): void {
  faults.push(fault('unsupported', joinPath(path, name), `is OpenAI's older form of "${now}"; write it as that`));
}

/** Text, a list of text parts, or nothing beside tool calls. An empty system message is a known way to switch a template's own one off. */
function readContent(message: JsonObject, path: string, faults: LineFault[], role: ChatRole | null, hasCalls: boolean): string {
  const value = message['content'];
  if (hasCalls && (value === undefined || value === null)) return '';
  const mayBeEmpty = role === 'system' || role === 'tool' || hasCalls;
  if (!isArray(value)) return textField(message, 'content', path, faults, mayBeEmpty);
  const at = `${path}.content`;
  const before = faults.length;
  let text = '';
  for (const [i, part] of value.entries()) {
    if (faults.length >= maxFaultsOfRow) return text;
    if (!isObject(part)) faults.push(fault('wrong_type', `${at}[${i}]`, `must be an object with type and text, is ${kindOf(part)}`));
    else if (part['type'] !== 'text') {
      const type = typeof part['type'] === 'string' ? quoted(part['type']) : kindOf(part['type'] ?? null);
      faults.push(fault('unsupported', `${at}[${i}].type`, `only parts of type "text" are supported, not ${type}`));
    } else {
      onlyFields(part, ['type', 'text'], `${at}[${i}]`, faults);
      text += textField(part, 'text', `${at}[${i}]`, faults, true);
    }
  }
  // A wrong part is told already; the text without it may be empty for that reason alone.
  return faults.length > before ? text : checkedText(text, at, faults, mayBeEmpty);
}

function readToolCalls(list: JsonValue | undefined, path: string, faults: LineFault[]): readonly ToolCall[] {
  const at = `${path}.tool_calls`;
  if (!isArray(list) || list.length === 0) {
    faults.push(fault(isArray(list) ? 'empty' : 'wrong_type', at, 'must be a list with at least one call'));
    return [];
  }
  return list.flatMap((call, i) => {
    const here = `${at}[${i}]`;
    if (faults.length >= maxFaultsOfRow) return [];
    const of = isObject(call) ? call['function'] : undefined;
    if (!isObject(call) || !isObject(of)) {
      faults.push(fault('wrong_type', here, 'must be an object with id, type and function'));
      return [];
    }
    onlyFields(call, ['id', 'type', 'function'], here, faults);
    onlyFields(of, ['name', 'arguments'], `${here}.function`, faults);
    if (call['type'] !== undefined && call['type'] !== 'function') faults.push(fault('unsupported', `${here}.type`, 'must be "function"'));
    const name = textField(of, 'name', `${here}.function`, faults);
    const id = Object.hasOwn(call, 'id') ? textField(call, 'id', here, faults) : null;
    return [
      {
        ...(id === null ? {} : { id }),
        type: 'function' as const,
        function: { name, arguments: readArguments(of, `${here}.function`, faults) },
      },
    ];
  });
}

/** OpenAI writes arguments as JSON in a text; templates print objects. */
export function readArguments(of: JsonObject, path: string, faults: LineFault[]): JsonValue {
  const value = of['arguments'];
  if (isObject(value)) return value;
  const at = joinPath(path, 'arguments');
  const parsed = parseJson(textField(of, 'arguments', path, faults), 32);
  if ('value' in parsed && isObject(parsed.value)) return parsed.value;
  if (typeof value === 'string' && value.trim() !== '')
    faults.push(fault('wrong_type', at, 'must be a JSON object, or one written as text'));
  return {};
}

export function readTools(value: JsonValue | undefined, path: string, faults: LineFault[]): readonly JsonObject[] {
  if (!isArray(value)) {
    faults.push(fault('wrong_type', path, `must be a list of tools, is ${kindOf(value ?? null)}`));
    return [];
  }
  return value.flatMap((tool, i) => {
    const of = isObject(tool) ? tool['function'] : undefined;
    if (isObject(tool) && tool['type'] === 'function' && isObject(of) && typeof of['name'] === 'string' && of['name'] !== '') return [tool];
    if (faults.length < maxFaultsOfRow)
      faults.push(fault('wrong_type', `${path}[${i}]`, 'must be {"type": "function", "function": {"name", "description", "parameters"}}'));
    return [];
  });
}

function readRole(message: JsonObject, path: string, faults: LineFault[]): ChatRole | null {
  const role = message['role'];
  const known = chatRoles.find((name) => name === role);
  if (known) return known;
  // OpenAI's newer name for it; chat templates know the older one.
  if (role === 'developer') return 'system';
  const at = `${path}.role`;
  if (role === undefined) faults.push(fault('missing_field', at, 'is missing'));
  else if (typeof role !== 'string') faults.push(fault('wrong_type', at, `must be text, is ${kindOf(role)}`));
  else if (role === 'function') faults.push(fault('unsupported', at, 'the role "function" is not supported; use "tool"'));
  else faults.push(fault('unknown_role', at, `unknown role ${quoted(role)}; use ${chatRoles.join(', ')}`));
  return null;
}

/** What OpenAI asks of a conversation: something to learn, and an answer at its end. */
export function checkOrder(turns: readonly ChatTurn[], path: string, faults: LineFault[]): void {
  if (!turns.some((turn) => turn.role === 'assistant')) {
    faults.push(fault('no_assistant', path, 'there is no assistant message, so nothing to learn'));
  } else if (turns[turns.length - 1]?.role !== 'assistant') {
    faults.push(fault('last_not_assistant', `${path}[${turns.length - 1}].role`, 'the last message must be from the assistant'));
  } else if (!turns.some((turn) => turn.learn)) {
    faults.push(fault('no_assistant', path, 'every assistant message has weight 0, so there is nothing to learn'));
  }
}
