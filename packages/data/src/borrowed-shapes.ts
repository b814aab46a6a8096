/** Shapes of other tools' data sets, read as conversations: ShareGPT's and Alpaca's, as LLaMA-Factory describes them. */
import { type ChatTurn, checkOrder, readArguments, readTools } from './chat-turns.js';
import { fault, type LineFault, quoted } from './errors.js';
import { isArray, isObject, type JsonObject, kindOf, maxFaultsOfRow, onlyFields, textField } from './fields.js';
import { type JsonValue, parseJson } from './json-text.js';
import type { ChatRow } from './rows.js';

type Speaker = ChatTurn['role'] | 'call';
const speakers: ReadonlyMap<string, Speaker> = new Map([
  ...(['human', 'user'] as const).map((name) => [name, 'user'] as const),
  ...(['gpt', 'assistant', 'chatgpt', 'bard', 'bing'] as const).map((name) => [name, 'assistant'] as const),
  ...(['observation', 'tool'] as const).map((name) => [name, 'tool'] as const),
  ['system', 'system'],
  ['function_call', 'call'],
]);

const systemTurn = (row: JsonObject, faults: LineFault[]): readonly ChatTurn[] =>
  Object.hasOwn(row, 'system') && row['system'] !== ''
    ? [{ role: 'system', content: textField(row, 'system', '', faults), learn: false }]
    : [];

/** `{"conversations": [{"from": "human" | "gpt" | "system" | "function_call" | "observation", "value"}][, "system"][, "tools"]}`. */
export function readShareGpt(row: JsonObject, faults: LineFault[]): ChatRow {
  onlyFields(row, ['conversations', 'system', 'tools'], '', faults);
  const list = row['conversations'];
  const messages = isArray(list) ? list : [];
  if (!isArray(list)) faults.push(fault('wrong_type', 'conversations', `must be a list of messages, is ${kindOf(list ?? null)}`));
  else if (list.length === 0) faults.push(fault('empty', 'conversations', 'is empty'));
  const turns = messages.flatMap((message, i) => {
    if (faults.length >= maxFaultsOfRow) return [];
    const turn = readSpoken(message, `conversations[${i}]`, faults);
    return turn ? [turn] : [];
  });
  if (turns.length > 0 && turns.length === messages.length) checkOrder(turns, 'conversations', faults);
  const tools = toolsOf(row, faults);
  return { shape: 'chat', messages: [...systemTurn(row, faults), ...turns], ...(tools.length > 0 ? { tools } : {}) };
}

/** A list, or as LLaMA-Factory has it: the list as a text of JSON; '' means none. */
function toolsOf(row: JsonObject, faults: LineFault[]): readonly JsonObject[] {
  const value = row['tools'];
  if (value === undefined || value === '') return [];
  if (typeof value !== 'string') return readTools(value, 'tools', faults);
  const parsed = parseJson(value, 32);
  if ('value' in parsed) return readTools(parsed.value, 'tools', faults);
  faults.push(fault('wrong_type', 'tools', 'must be a list of tools, or one written as JSON text'));
  return [];
}

/** `from` and `value`, or OpenAI's names for the same. */
function readSpoken(message: JsonValue, path: string, faults: LineFault[]): ChatTurn | null {
  if (!isObject(message)) {
    faults.push(fault('wrong_type', path, `must be an object with from and value, is ${kindOf(message)}`));
    return null;
  }
  const [from, value] = Object.hasOwn(message, 'role') ? (['role', 'content'] as const) : (['from', 'value'] as const);
  onlyFields(message, [from, value], path, faults);
  const name = textField(message, from, path, faults);
  const speaker = speakers.get(name);
  if (speaker === undefined) {
    if (name !== '')
      faults.push(fault('unknown_role', `${path}.${from}`, `unknown speaker ${quoted(name)}; use ${[...speakers.keys()].join(', ')}`));
    return null;
  }
  const content = textField(message, value, path, faults, speaker === 'system' || speaker === 'tool');
  if (speaker !== 'call') return { role: speaker, content, learn: speaker === 'assistant' };
  const parsed = parseJson(content, 32);
  if (!('value' in parsed) || !isObject(parsed.value) || typeof parsed.value['name'] !== 'string') {
    faults.push(fault('wrong_type', `${path}.${value}`, 'must be a call as JSON text: {"name", "arguments"}'));
    return null;
  }
  const call = { name: parsed.value['name'], arguments: readArguments(parsed.value, `${path}.${value}`, faults) };
  return { role: 'assistant', content: '', toolCalls: [{ type: 'function', function: call }], learn: true };
}

/** `{"instruction", "output"[, "input"][, "system"][, "history": [[question, answer]]]}`. */
export function readAlpaca(row: JsonObject, faults: LineFault[]): ChatRow {
  onlyFields(row, ['instruction', 'input', 'output', 'system', 'history'], '', faults);
  const history = row['history'] ?? [];
  if (!isArray(history)) faults.push(fault('wrong_type', 'history', `must be a list of pairs, is ${kindOf(history)}`));
  const earlier = (isArray(history) ? history : []).flatMap((pair, i): ChatTurn[] => {
    if (faults.length >= maxFaultsOfRow) return [];
    const [question, answer] = isArray(pair) && pair.length === 2 ? pair : [];
    if (typeof question === 'string' && typeof answer === 'string') {
      return [
        { role: 'user', content: textField({ question }, 'question', `history[${i}]`, faults), learn: false },
        { role: 'assistant', content: textField({ answer }, 'answer', `history[${i}]`, faults), learn: true },
      ];
    }
    faults.push(fault('wrong_type', `history[${i}]`, 'must be a pair of texts: question and answer'));
    return [];
  });
  const instruction = textField(row, 'instruction', '', faults);
  const input = Object.hasOwn(row, 'input') ? textField(row, 'input', '', faults, true) : '';
  const output = textField(row, 'output', '', faults);
  const user = { role: 'user' as const, content: input === '' ? instruction : `${instruction}\n${input}`, learn: false };
  return {
    shape: 'chat',
    messages: [...systemTurn(row, faults), ...earlier, user, { role: 'assistant', content: output, learn: true }],
  };
}
