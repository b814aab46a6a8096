import { ModelError } from '../errors.js';
import { type ArrayValue, type Environment, Interpreter, type Node, type StringValue, type Value } from './jinja-library.js';
import { capitalize, codePointLength, splitBlanks, splitLines, strip } from './python-text.js';
import {
  arrayValue,
  booleanValue,
  equal,
  functionValue,
  integerValue,
  isArray,
  isInteger,
  isMap,
  isNamespace,
  isString,
  printed,
  stringValue,
} from './template-values.js';

const child = (node: Node, field: string) => node[field] as Node;

/** A node whose value is already known, so that an operand is not evaluated twice. */
const evaluated = (value: Value): Node => ({ type: 'Evaluated', value });

/** Largest text, in UTF-16 units, that a template may make or handle; also the bound of a list's or object's content. */
export const maxTextUnits = 8 * 2 ** 20;
/** One unit: one evaluated node, 64 characters handled, or 512 comparisons of a search. About 2 s at most. */
const maxUnits = 4_000_000;
const maxRange = 100_000;
const unitsPerItem = 8;

/**
 * The library's interpreter with Python's behaviour where the two differ silently (strip, trim, len, printing, ==, %), and with a budget:
 * a template is code from a stranger. Steps, sizes and searches are counted, so the refusal does not depend on the machine's speed.
 */
export class BoundedInterpreter extends Interpreter {
  private units = 0;
  private readonly weights = new WeakMap<object, number>();

  private charge(units: number): void {
    this.units += units;
    if (this.units > maxUnits) throw new ModelError('bad_template', `chat template: needs more than ${maxUnits} steps; refused`);
  }

  private bounded(length: number): void {
    if (length > maxTextUnits)
      throw new ModelError('bad_template', `chat template: makes a value of more than ${maxTextUnits} characters; refused`);
  }

  /** Cost of printing a value, shared parts counted each time: [a, a] of [b, b] of ... doubles at each level. */
  private weight(v: Value): number {
    if (isString(v)) return 1 + v.value.length / 64;
    if (!isArray(v) && !isMap(v)) return 1;
    const known = this.weights.get(v);
    if (known !== undefined) return known;
    let sum = 1;
    for (const item of v.value.values()) {
      // A namespace can change later, so nothing that holds one has a fixed size.
      if (isNamespace(item)) throw new ModelError('bad_template', 'chat template: a namespace inside another value is not supported');
      sum += this.weight(item);
    }
    this.bounded(sum * 64);
    if (!isNamespace(v)) this.weights.set(v, sum);
    return sum;
  }

  override evaluate(statement: Node | undefined, scope: Environment): Value {
    if (!statement) return super.evaluate(statement, scope);
    this.charge(1);
    const value = this.dispatch(statement, scope);
    if (isString(value)) {
      this.bounded(value.value.length);
      this.charge(value.value.length / 64);
    } else if (isArray(value) || isMap(value)) {
      this.weight(value);
      this.charge(isArray(value) ? value.value.length / 16 : value.value.size / 16);
    }
    return value;
  }

  private dispatch(node: Node, scope: Environment): Value {
    switch (node.type) {
      case 'Evaluated':
        return node['value'] as Value;
      case 'Output':
        return stringValue(printed(this.evaluate(child(node, 'expression'), scope)));
      case 'MemberExpression':
        return this.member(node, scope);
      case 'FilterExpression':
        return this.filter(this.evaluate(child(node, 'operand'), scope), child(node, 'filter'), scope);
      case 'FilterStatement':
        return this.filter(super.evaluate({ type: 'Program', body: node['body'] }, scope), child(node, 'filter'), scope);
      case 'BinaryExpression':
        return this.binary(node, scope);
      case 'For': {
        // Two scopes are made for each item before the body runs, even an empty one.
        const source = child(node, 'iterable');
        const select = source.type === 'SelectExpression';
        const items = this.evaluate(select ? child(source, 'lhs') : source, scope);
        if (isArray(items)) this.charge(items.value.length * unitsPerItem);
        const known = evaluated(items);
        return super.evaluate({ ...node, iterable: select ? { ...source, lhs: known } : known }, scope);
      }
      case 'Set': {
        const value = super.evaluate(node, scope);
        const assignee = child(node, 'assignee');
        if (assignee.type === 'MemberExpression') this.weight(this.evaluate(child(assignee, 'object'), scope));
        return value;
      }
      default:
        return super.evaluate(node, scope);
    }
  }

  private member(node: Node, scope: Environment): Value {
    const object = this.evaluate(child(node, 'object'), scope);
    const property = child(node, 'property');
    if (property.type === 'SliceExpression') {
      this.charge(this.weight(object));
      return super.evaluate({ ...node, object: evaluated(object) }, scope);
    }
    if (!isString(object)) return super.evaluate({ ...node, object: evaluated(object) }, scope);
    const name = node['computed'] ? this.evaluate(property, scope) : stringValue(String(property['value']));
    const own = isString(name) ? this.stringMethod(object, name.value) : undefined;
    return own ?? super.evaluate({ ...node, object: evaluated(object), property: evaluated(name), computed: true }, scope);
  }

  /** Methods that the library lacks, gets wrong, or that can make more text than they are given. */
  private stringMethod(text: StringValue, name: string): Value | undefined {
    const stripping = (sides: 'left' | 'right' | 'both') =>
      functionValue(([chars]) => {
        this.charge(text.value.length / 16);
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
        return functionValue((args) => this.replace(text.value, args));
      case 'split':
        return functionValue((args, scope) => this.split(text, args, scope));
      default:
        return undefined;
    }
  }

  private split(text: StringValue, args: Value[], scope: Environment): Value {
    const [separator, most] = args;
    this.search(separator && isString(separator) ? separator.value : ' ', text.value);
    if (!separator || !isString(separator)) {
      const limit = most && isInteger(most) && most.value >= 0 ? most.value : Number.POSITIVE_INFINITY;
      return arrayValue(splitBlanks(text.value, limit).map(stringValue));
    }
    const library = text.builtins.get('split');
    if (library?.type !== 'FunctionValue') throw new Error('split() is missing');
    return library.value(args, scope);
  }

  /** A search for m characters in n can take n * m comparisons. */
  private search(pattern: string, text: string): void {
    this.charge((pattern.length * text.length) / 512);
  }

  private replace(text: string, args: readonly Value[]): Value {
    const [from, to, extra] = args;
    if (!from || !to || !isString(from) || !isString(to)) throw new Error('replace() needs two strings');
    const limit = extra && isMap(extra) ? extra.value.get('count') : extra;
    if (limit && !isInteger(limit) && limit.type !== 'NullValue') throw new Error('replace() count must be an integer');
    const most = limit && isInteger(limit) && limit.value >= 0 ? limit.value : Number.POSITIVE_INFINITY;
    this.search(from.value, text);
    const parts = from.value === '' ? ['', ...Array.from(text), ''] : text.split(from.value);
    const cuts = Math.min(parts.length - 1, most);
    this.bounded(text.length + cuts * to.value.length);
    this.charge(parts.length / 16);
    return stringValue(
      parts.slice(0, cuts + 1).join(to.value) +
        parts
          .slice(cuts + 1)
          .map((part) => from.value + part)
          .join(''),
    );
  }

  private binary(node: Node, scope: Environment): Value {
    const operator = (node['operator'] as { value: string }).value;
    if (operator === 'and' || operator === 'or') return super.evaluate(node, scope);
    const left = this.evaluate(child(node, 'left'), scope);
    const right = this.evaluate(child(node, 'right'), scope);
    switch (operator) {
      case '==':
      case '!=':
        this.charge(this.weight(left));
        return booleanValue(equal(left, right) === (operator === '=='));
      case '~':
        return stringValue(printed(left) + printed(right));
      case '%':
        if (isInteger(left) && isInteger(right) && right.value !== 0)
          return integerValue(((left.value % right.value) + right.value) % right.value);
        break;
      case '+':
        if (isString(left) !== isString(right)) throw new Error(`+ between ${left.type} and ${right.type}`);
        break;
      case 'in':
      case 'not in':
        if (isArray(right)) {
          this.charge(this.weight(right));
          return booleanValue(right.value.some((item) => equal(left, item)) === (operator === 'in'));
        }
        if (isString(left) && isString(right)) this.search(left.value, right.value);
        break;
    }
    return super.evaluate({ ...node, left: evaluated(left), right: evaluated(right) }, scope);
  }

  private filter(operand: Value, filter: Node, scope: Environment): Value {
    const call = filter.type === 'CallExpression';
    const name = String((call ? child(filter, 'callee') : filter)['value']);
    const args = call ? (filter['args'] as Node[]) : [];
    const argument = (position: number, keyword: string) => this.filterArgument(args, position, keyword, scope);
    this.charge(this.weight(operand) * (name === 'sort' || name === 'unique' || name === 'dictsort' ? 20 : 1));
    if (isString(operand)) {
      if (name === 'trim') {
        const chars = argument(0, 'chars');
        return stringValue(strip(operand.value, 'both', chars && isString(chars) ? chars.value : null));
      }
      if (name === 'length' || name === 'count') return integerValue(codePointLength(operand.value));
      if (name === 'capitalize') return stringValue(capitalize(operand.value));
      if (name === 'indent') return this.indent(operand.value, argument);
      if (name === 'replace') {
        const values = [argument(0, 'old'), argument(1, 'new'), argument(2, 'count')].filter((v) => v !== undefined);
        return this.replace(operand.value, values);
      }
    }
    if (name === 'string') return stringValue(printed(operand));
    if (name === 'join' && isArray(operand)) return this.join(operand, argument);
    if (name === 'tojson') {
      const indent = argument(0, 'indent');
      if (indent && isInteger(indent) && indent.value > 16) throw new Error('tojson: indent over 16');
      const separators = argument(4, 'separators');
      if (separators && this.weight(separators) > 16) throw new Error('tojson: separators too long');
    }
    return super.evaluate({ type: 'FilterExpression', operand: evaluated(operand), filter }, scope);
  }

  private filterArgument(args: readonly Node[], position: number, keyword: string, scope: Environment): Value | undefined {
    const positional = args.filter((arg) => arg.type !== 'KeywordArgumentExpression');
    const named = args.find((arg) => arg.type === 'KeywordArgumentExpression' && child(arg, 'key')['value'] === keyword);
    const node = positional[position] ?? (named ? child(named, 'value') : undefined);
    return node && this.evaluate(node, scope);
  }

  private join(items: ArrayValue, argument: (position: number, keyword: string) => Value | undefined): Value {
    const separator = argument(0, 'd');
    const attribute = argument(1, 'attribute');
    const glue = separator && isString(separator) ? separator.value : '';
    const texts = items.value.map((item) => {
      const part = attribute && isString(attribute) && isMap(item) ? item.value.get(attribute.value) : item;
      return part ? printed(part) : '';
    });
    this.bounded(texts.reduce((sum, text) => sum + text.length + glue.length, 0));
    return stringValue(texts.join(glue));
  }

  private indent(text: string, argument: (position: number, keyword: string) => Value | undefined): Value {
    const width = argument(0, 'width') ?? integerValue(4);
    const truthy = (v: Value | undefined) => v?.__bool__().value ?? false;
    const first = truthy(argument(1, 'first'));
    const blank = truthy(argument(2, 'blank'));
    const size = isString(width) ? width.value.length : isInteger(width) ? Math.max(0, width.value) : 0;
    // Jinja2 appends a newline before it splits, so that a newline at the end stays.
    const [head = '', ...lines] = splitLines(`${text}\n`);
    this.bounded(text.length + (lines.length + 1) * size);
    const space = isString(width) ? width.value : ' '.repeat(size);
    const rest = lines.map((line) => `\n${line === '' && !blank ? '' : space}${line}`).join('');
    return stringValue((first ? space : '') + head + rest);
  }
}

/** range() of integers; longer ones than any conversation needs are refused before the list is made. */
export function boundedRange(args: readonly Value[]): Value {
  const numbers = args.map((arg) => {
    if (!isInteger(arg)) throw new Error('range() needs integers');
    return arg.value;
  });
  const [start, stop, step] =
    numbers.length === 1 ? [0, numbers[0] as number, 1] : [numbers[0] as number, numbers[1] as number, numbers[2] ?? 1];
  if (step === 0) throw new Error('range() step must not be zero');
  const count = Math.max(0, Math.ceil((stop - start) / step));
  if (!(count <= maxRange))
    throw new ModelError('bad_template', `chat template: range() of ${count} numbers; refused (at most ${maxRange})`);
  return arrayValue(Array.from({ length: count }, (_, i) => integerValue(start + i * step)));
}
