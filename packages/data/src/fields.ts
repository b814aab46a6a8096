/** Fields of a row that comes from a stranger's file: what they must be, and how a fault names them. */
import { fault, type LineFault, quoted } from './errors.js';
import type { JsonValue } from './json-text.js';

/** A row of one mebibyte can have half a million faults; nobody reads them, and finding them would hold up everything else. */
export const maxFaultsOfRow = 100;

export type JsonObject = { readonly [key: string]: JsonValue };
export const isObject = (value: JsonValue | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
export const isArray = (value: JsonValue | undefined): value is readonly JsonValue[] => Array.isArray(value);

export const kindOf = (value: JsonValue) =>
  value === null ? 'null' : isArray(value) ? 'a list' : typeof value === 'object' ? 'an object' : typeof value;

const laterFields = new Set(['functions', 'function_call', 'audio', 'refusal']);

export function onlyFields(object: JsonObject, known: readonly string[], path: string, faults: LineFault[]): void {
  for (const key of Object.keys(object)) {
    if (known.includes(key)) continue;
    if (faults.length >= maxFaultsOfRow) return;
    const at = joinPath(path, key);
    if (laterFields.has(key)) faults.push(fault('unsupported', at, 'is not supported; leave it out'));
    else faults.push(fault('unknown_field', at, `unknown field; known here: ${known.join(', ')}`));
  }
}

/** Keys come from a stranger's file: what is not a plain name is quoted and cut. */
export function joinPath(path: string, key: string): string {
  if (!/^[A-Za-z_][A-Za-z0-9_-]{0,39}$/.test(key)) return `${path}[${quoted(key)}]`;
  return path === '' ? key : `${path}.${key}`;
}

export function textField(object: JsonObject, key: string, path: string, faults: LineFault[], mayBeEmpty = false): string {
  const at = joinPath(path, key);
  const value = object[key];
  if (value === undefined) faults.push(fault('missing_field', at, 'is missing'));
  else if (typeof value !== 'string') {
    faults.push(fault('wrong_type', at, `must be text, is ${kindOf(value)}`));
  } else {
    return checkedText(value, at, faults, mayBeEmpty);
  }
  return '';
}

export function checkedText(value: string, at: string, faults: LineFault[], mayBeEmpty = false): string {
  if (!mayBeEmpty && value.trim() === '') faults.push(fault('empty', at, value === '' ? 'is empty' : 'holds only blanks'));
  if (value.includes('\0')) faults.push(fault('nul', at, 'holds a NUL character (\\u0000)'));
  if (/\p{Surrogate}/u.test(value)) faults.push(fault('lone_surrogate', at, 'holds half of a character (a lone \\ud800 to \\udfff)'));
  return value;
}
