/** The shapes of a training row, and what is wrong with one that has none of them. */
import { readAlpaca, readShareGpt } from './borrowed-shapes.js';
import { type ChatTurn, olderForm, readTools, readTurns } from './chat-turns.js';
import { fault, type LineFault } from './errors.js';
import { isObject, type JsonObject, kindOf, onlyFields, textField } from './fields.js';
import type { JsonValue } from './json-text.js';

export const rowShapes = ['chat', 'prompt_completion', 'text', 'sharegpt', 'alpaca', 'classification'] as const;
export type RowShape = (typeof rowShapes)[number];

export interface ChatRow {
  readonly shape: 'chat';
  readonly messages: readonly ChatTurn[];
  /** Definitions of the tools that the conversation may call; absent: none. */
  readonly tools?: readonly JsonObject[];
}
/** For encoders with a classifier. */
export interface ClassificationRow {
  readonly shape: 'classification';
  readonly text: string;
  readonly textPair: string | null;
  /** An integer as its decimal digits. */
  readonly label: string;
}
export type Row =
  | ChatRow
  | ClassificationRow
  | { readonly shape: 'prompt_completion'; readonly prompt: string; readonly completion: string }
  | { readonly shape: 'text'; readonly text: string };

/** The row, or the faults found in it (about `maxFaultsOfRow` at most). `faults` is empty exactly when `row` is there. */
export interface RowReading {
  /** How it is written in the file; `sharegpt` and `alpaca` rows are read as conversations. */
  readonly shape: RowShape | null;
  readonly row: Row | null;
  readonly faults: readonly LineFault[];
}

export function readRow(value: JsonValue): RowReading {
  if (!isObject(value)) return refused(null, [fault('not_an_object', '', `is ${kindOf(value)}, not a JSON object`)]);
  const shape = shapeOf(value);
  if (shape === null) {
    const preference = Object.hasOwn(value, 'preferred_output') || Object.hasOwn(value, 'non_preferred_output');
    return refused(null, [
      preference
        ? fault('unsupported', '', 'is a preference row ("preferred_output"); only supervised fine-tuning is offered')
        : fault(
            'unknown_shape',
            '',
            'has none of the fields "messages", "prompt" with "completion", "text", "conversations", "instruction" with "output", one of which says what the row is',
          ),
    ]);
  }
  const faults: LineFault[] = [];
  const row = readers[shape](value, faults);
  return faults.length > 0 ? refused(shape, faults) : { shape, row, faults };
}

const refused = (shape: RowShape | null, faults: readonly LineFault[]): RowReading => ({ shape, row: null, faults });

function shapeOf(row: JsonObject): RowShape | null {
  const has = (key: string) => Object.hasOwn(row, key);
  if (has('messages')) return 'chat';
  if (has('conversations')) return 'sharegpt';
  if (has('prompt') || has('completion')) return 'prompt_completion';
  if (has('instruction')) return 'alpaca';
  if (has('label')) return 'classification';
  return has('text') ? 'text' : null;
}

const readers: Readonly<Record<RowShape, (row: JsonObject, faults: LineFault[]) => Row>> = {
  chat(row, faults) {
    onlyFields(row, ['messages', 'tools', 'parallel_tool_calls', 'functions'], '', faults);
    if (Object.hasOwn(row, 'functions')) olderForm('functions', 'tools', '', faults);
    const parallel = row['parallel_tool_calls'];
    if (parallel !== undefined && typeof parallel !== 'boolean')
      faults.push(fault('wrong_type', 'parallel_tool_calls', `must be true or false, is ${kindOf(parallel)}`));
    const tools = Object.hasOwn(row, 'tools') ? readTools(row['tools'], 'tools', faults) : [];
    return { shape: 'chat', messages: readTurns(row['messages'], 'messages', faults), ...(tools.length > 0 ? { tools } : {}) };
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
  classification(row, faults) {
    onlyFields(row, ['text', 'text_pair', 'label'], '', faults);
    const textPair = row['text_pair'] === undefined || row['text_pair'] === null ? null : textField(row, 'text_pair', '', faults);
    return { shape: 'classification', text: textField(row, 'text', '', faults), textPair, label: readLabel(row, faults) };
  },
  sharegpt: readShareGpt,
  alpaca: readAlpaca,
};

function readLabel(row: JsonObject, faults: LineFault[]): string {
  const label = row['label'];
  if (typeof label === 'number' && Number.isSafeInteger(label)) return String(label);
  if (typeof label === 'string') return textField(row, 'label', '', faults);
  faults.push(
    fault('wrong_type', 'label', `must be text or an integer, is ${typeof label === 'number' ? 'another number' : kindOf(label ?? null)}`),
  );
  return '';
}
