import { ModelError } from '../errors.js';
import {
  type ArrayValue,
  type BooleanValue,
  Environment,
  type FunctionValue,
  type MapValue,
  type NativeFunction,
  type NumberValue,
  type StringValue,
  type Value,
} from './jinja-library.js';
import { repr } from './python-text.js';

/** The library does not export the classes of its values; they are taken from values it makes. */
const sample = new Environment();
const constructorOf = (value: unknown, name: string): unknown => sample.set(name, value).constructor;
const StringClass = constructorOf('', 's') as new (value: string) => StringValue;
const FunctionClass = constructorOf(() => null, 'f') as new (value: NativeFunction) => FunctionValue;
const BooleanClass = constructorOf(true, 'b') as new (value: boolean) => BooleanValue;
const IntegerClass = constructorOf(1, 'i') as new (value: number) => NumberValue;
const ArrayClass = constructorOf([], 'a') as new (value: Value[]) => ArrayValue;

export const stringValue = (value: string) => new StringClass(value);
export const booleanValue = (value: boolean) => new BooleanClass(value);
export const integerValue = (value: number) => new IntegerClass(value);
export const arrayValue = (value: Value[]) => new ArrayClass(value);
export const functionValue = (value: NativeFunction) => new FunctionClass(value);

export const isString = (v: Value): v is StringValue => v.type === 'StringValue';
export const isArray = (v: Value): v is ArrayValue => v.type === 'ArrayValue' || v.type === 'TupleValue';
export const isNamespace = (v: Value) => v.type === 'NamespaceValue';
export const isMap = (v: Value): v is MapValue =>
  v.type === 'ObjectValue' || v.type === 'NamespaceValue' || v.type === 'KeywordArgumentsValue';
export const isInteger = (v: Value): v is NumberValue => v.type === 'IntegerValue';
const isNumberLike = (v: Value): v is NumberValue | BooleanValue =>
  v.type === 'IntegerValue' || v.type === 'FloatValue' || v.type === 'BooleanValue';

/** What `{{ value }}` prints in Python: None, True, 1.0, ['a'], {'k': 1}; nothing for undefined. */
export function printed(v: Value, nested = false): string {
  if (isString(v)) return nested ? repr(v.value) : v.value;
  if (v.type === 'NullValue') return 'None';
  if (v.type === 'UndefinedValue') return '';
  if (v.type === 'BooleanValue') return v.value ? 'True' : 'False';
  if (isArray(v)) {
    const items = v.value.map((item) => printed(item, true));
    if (v.type === 'TupleValue') return `(${items.join(', ')}${items.length === 1 ? ',' : ''})`;
    return `[${items.join(', ')}]`;
  }
  if (v.type === 'ObjectValue' && isMap(v)) return `{${[...v.value].map(([k, item]) => `${repr(k)}: ${printed(item, true)}`).join(', ')}}`;
  if (isNumberLike(v)) return v.toString();
  throw new Error(`a ${v.type} cannot be printed`);
}

/** Python's ==: no conversion between text and numbers, None only equals None, lists and dicts by content. */
export function equal(a: Value, b: Value): boolean {
  if (isNumberLike(a) && isNumberLike(b)) return Number(a.value) === Number(b.value);
  if (isArray(a) && isArray(b)) return a.value.length === b.value.length && a.value.every((item, i) => equal(item, b.value[i] as Value));
  if (isMap(a) && isMap(b)) {
    if (a === b) return true;
    if (a.type !== b.type || a.value.size !== b.value.size) return false;
    return [...a.value].every(([key, item]) => {
      const other = b.value.get(key);
      return other !== undefined && equal(item, other);
    });
  }
  return a.type === b.type && a.value === b.value;
}

const maxDepth = 32;
/**
 * Refuses what a template would print differently than Python does, or not at all: numbers that lose digits or change form, object keys
 * that JavaScript reorders, functions, cycles, depth over 32. `where` names the value in the message.
 */
export function checkTemplateInput(value: unknown, where: string, depth = 0): void {
  const refuse = (message: string) => new ModelError('bad_messages', `${where}: ${message}`);
  if (value === null || value === undefined || typeof value === 'string' || typeof value === 'boolean') return;
  if (depth > maxDepth) throw refuse(`is nested deeper than ${maxDepth}`);
  if (typeof value === 'number') {
    const exact = Number.isInteger(value) ? Number.isSafeInteger(value) : Math.abs(value) >= 1e-4 && Math.abs(value) < 1e16;
    if (!exact) throw refuse(`the number ${value} would be written differently than in Python; give it as a string`);
    return;
  }
  if (Array.isArray(value)) {
    for (const [i, item] of value.entries()) checkTemplateInput(item, `${where}[${i}]`, depth + 1);
    return;
  }
  if (typeof value !== 'object') throw refuse(`a ${typeof value} is not JSON`);
  const keys = Object.keys(value);
  if (keys.length > 1 && keys.some((key) => /^(?:0|[1-9]\d{0,9})$/.test(key)))
    throw refuse('keys that are numbers lose their order; use other keys');
  for (const [key, item] of Object.entries(value)) checkTemplateInput(item, `${where}.${key}`, depth + 1);
}
