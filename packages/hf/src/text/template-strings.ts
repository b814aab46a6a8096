/** Text operations of templates that the library lacks, gets wrong, or that can make more text than they are given. */
import type { ArrayValue, Environment, StringValue, Value } from './jinja-library.js';
import { capitalize, codePointLength, splitBlanks, splitLines, strip } from './python-text.js';
import type { TemplateBudget } from './template-budget.js';
import { arrayValue, functionValue, integerValue, isInteger, isMap, isString, printed, stringValue } from './template-values.js';

/** Looks an argument of a filter up, by position or keyword. */
export type FilterArgument = (position: number, keyword: string) => Value | undefined;

/** The method of a string value, or undefined where the library's is right. */
export function stringMethod(text: StringValue, name: string, budget: TemplateBudget): Value | undefined {
  const stripping = (sides: 'left' | 'right' | 'both') =>
    functionValue(([chars]) => {
      budget.charge(text.value.length / 16);
      return stringValue(strip(text.value, sides, chars && isString(chars) ? chars.value : null));
    });
  switch (name) {
    case 'strip':
      return stripping('both');
    case 'lstrip':
      return stripping('left');
    case 'rstrip':
      return stripping('right');
    case 'length':
      return integerValue(codePointLength(text.value));
    case 'capitalize':
      return functionValue(() => stringValue(capitalize(text.value)));
    case 'replace':
      return functionValue((args) => replaceText(text.value, args, budget));
    case 'split':
      return functionValue((args, scope) => splitText(text, args, scope, budget));
    default:
      return undefined;
  }
}

function splitText(text: StringValue, args: Value[], scope: Environment, budget: TemplateBudget): Value {
  const [separator, most] = args;
  budget.search(separator && isString(separator) ? separator.value : ' ', text.value);
  if (!separator || !isString(separator)) {
    const limit = most && isInteger(most) && most.value >= 0 ? most.value : Number.POSITIVE_INFINITY;
    return arrayValue(splitBlanks(text.value, limit).map(stringValue));
  }
  const library = text.builtins.get('split');
  if (library?.type !== 'FunctionValue') throw new Error('split() is missing');
  return library.value(args, scope);
}

export function replaceText(text: string, args: readonly Value[], budget: TemplateBudget): Value {
  const [from, to, extra] = args;
  if (!from || !to || !isString(from) || !isString(to)) throw new Error('replace() needs two strings');
  const limit = extra && isMap(extra) ? extra.value.get('count') : extra;
  if (limit && !isInteger(limit) && limit.type !== 'NullValue') throw new Error('replace() count must be an integer');
  const most = limit && isInteger(limit) && limit.value >= 0 ? limit.value : Number.POSITIVE_INFINITY;
  budget.search(from.value, text);
  const parts = from.value === '' ? ['', ...Array.from(text), ''] : text.split(from.value);
  const cuts = Math.min(parts.length - 1, most);
  budget.bounded(text.length + cuts * to.value.length);
  budget.charge(parts.length / 16);
  return stringValue(
    parts.slice(0, cuts + 1).join(to.value) +
      parts
        .slice(cuts + 1)
        .map((part) => from.value + part)
        .join(''),
  );
}

export function joinItems(items: ArrayValue, argument: FilterArgument, budget: TemplateBudget): Value {
  const separator = argument(0, 'd');
  const attribute = argument(1, 'attribute');
  const glue = separator && isString(separator) ? separator.value : '';
  const texts = items.value.map((item) => {
    const part = attribute && isString(attribute) && isMap(item) ? item.value.get(attribute.value) : item;
    return part ? printed(part) : '';
  });
  budget.bounded(texts.reduce((sum, text) => sum + text.length + glue.length, 0));
  return stringValue(texts.join(glue));
}

export function indentText(text: string, argument: FilterArgument, budget: TemplateBudget): Value {
  const width = argument(0, 'width') ?? integerValue(4);
  const truthy = (v: Value | undefined) => v?.__bool__().value ?? false;
  const first = truthy(argument(1, 'first'));
  const blank = truthy(argument(2, 'blank'));
  const size = isString(width) ? width.value.length : isInteger(width) ? Math.max(0, width.value) : 0;
  // Jinja2 appends a newline before it splits, so that a newline at the end stays.
  const [head = '', ...lines] = splitLines(`${text}\n`);
  budget.bounded(text.length + (lines.length + 1) * size);
  const space = isString(width) ? width.value : ' '.repeat(size);
  const rest = lines.map((line) => `\n${line === '' && !blank ? '' : space}${line}`).join('');
  return stringValue((first ? space : '') + head + rest);
}
