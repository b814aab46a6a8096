import { ModelError } from '../errors.js';
import { type Environment, Interpreter, type Node, type Value } from './jinja-library.js';
import { capitalize, codePointLength, strip } from './python-text.js';
import { TemplateBudget } from './template-budget.js';
import { indentText, joinItems, replaceText, stringMethod } from './template-strings.js';
import {
  arrayValue,
  booleanValue,
  equal,
  integerValue,
  isArray,
  isInteger,
  isMap,
  isString,
  printed,
  stringValue,
} from './template-values.js';

const child = (node: Node, field: string) => node[field] as Node;

/** A node whose value is already known, so that an operand is not evaluated twice. */
const evaluated = (value: Value): Node => ({ type: 'Evaluated', value });

const maxRange = 100_000;
const unitsPerItem = 20;

/**
 * The library's interpreter with Python's behaviour where the two differ silently (strip, trim, len, printing, ==, %), and with a budget:
 * a template is code from a stranger. Steps, sizes and searches are counted, so the refusal does not depend on the machine's speed.
 */
export class BoundedInterpreter extends Interpreter {
  private readonly budget = new TemplateBudget();

  override evaluate(statement: Node | undefined, scope: Environment): Value {
    if (!statement) return super.evaluate(statement, scope);
    this.budget.charge(1);
    const value = this.dispatch(statement, scope);
    if (isString(value)) {
      this.budget.bounded(value.value.length);
      this.budget.charge(value.value.length / 64);
    } else if (isArray(value) || isMap(value)) {
      this.budget.weight(value);
      this.budget.charge(isArray(value) ? value.value.length / 16 : value.value.size / 16);
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
        if (isArray(items)) this.budget.charge(items.value.length * unitsPerItem);
        const known = evaluated(items);
        return super.evaluate({ ...node, iterable: select ? { ...source, lhs: known } : known }, scope);
      }
      case 'Set': {
        const value = super.evaluate(node, scope);
        const assignee = child(node, 'assignee');
        if (assignee.type === 'MemberExpression') this.budget.weight(this.evaluate(child(assignee, 'object'), scope));
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
      this.budget.charge(this.budget.weight(object));
      return super.evaluate({ ...node, object: evaluated(object) }, scope);
    }
    if (!isString(object)) return super.evaluate({ ...node, object: evaluated(object) }, scope);
    const name = node['computed'] ? this.evaluate(property, scope) : stringValue(String(property['value']));
    const own = isString(name) ? stringMethod(object, name.value, this.budget) : undefined;
    return own ?? super.evaluate({ ...node, object: evaluated(object), property: evaluated(name), computed: true }, scope);
  }

  private binary(node: Node, scope: Environment): Value {
    const operator = (node['operator'] as { value: string }).value;
    if (operator === 'and' || operator === 'or') return super.evaluate(node, scope);
    const left = this.evaluate(child(node, 'left'), scope);
    const right = this.evaluate(child(node, 'right'), scope);
    switch (operator) {
      case '==':
      case '!=':
        this.budget.charge(this.budget.weight(left));
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
          this.budget.charge(this.budget.weight(right));
          return booleanValue(right.value.some((item) => equal(left, item)) === (operator === 'in'));
        }
        if (isString(left) && isString(right)) this.budget.search(left.value, right.value);
        break;
    }
    return super.evaluate({ ...node, left: evaluated(left), right: evaluated(right) }, scope);
  }

  private filter(operand: Value, filter: Node, scope: Environment): Value {
    const call = filter.type === 'CallExpression';
    const name = String((call ? child(filter, 'callee') : filter)['value']);
    const args = call ? (filter['args'] as Node[]) : [];
    const argument = (position: number, keyword: string) => this.filterArgument(args, position, keyword, scope);
    this.budget.charge(this.budget.weight(operand) * (name === 'sort' || name === 'unique' || name === 'dictsort' ? 20 : 1));
    if (isString(operand)) {
      if (name === 'trim') {
        const chars = argument(0, 'chars');
        return stringValue(strip(operand.value, 'both', chars && isString(chars) ? chars.value : null));
      }
      if (name === 'length' || name === 'count') return integerValue(codePointLength(operand.value));
      if (name === 'capitalize') return stringValue(capitalize(operand.value));
      if (name === 'indent') return indentText(operand.value, argument, this.budget);
      if (name === 'replace') {
        const values = [argument(0, 'old'), argument(1, 'new'), argument(2, 'count')].filter((v) => v !== undefined);
        return replaceText(operand.value, values, this.budget);
      }
    }
    if (name === 'string') return stringValue(printed(operand));
    if (name === 'join' && isArray(operand)) return joinItems(operand, argument, this.budget);
    if (name === 'tojson') {
      const indent = argument(0, 'indent');
      if (indent && isInteger(indent) && indent.value > 16) throw new Error('tojson: indent over 16');
      const separators = argument(4, 'separators');
      if (separators && this.budget.weight(separators) > 16) throw new Error('tojson: separators too long');
    }
    return super.evaluate({ type: 'FilterExpression', operand: evaluated(operand), filter }, scope);
  }

  private filterArgument(args: readonly Node[], position: number, keyword: string, scope: Environment): Value | undefined {
    const positional = args.filter((arg) => arg.type !== 'KeywordArgumentExpression');
    const named = args.find((arg) => arg.type === 'KeywordArgumentExpression' && child(arg, 'key')['value'] === keyword);
    const node = positional[position] ?? (named ? child(named, 'value') : undefined);
    return node && this.evaluate(node, scope);
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
