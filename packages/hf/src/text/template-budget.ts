import { ModelError } from '../errors.js';
import type { Value } from './jinja-library.js';
import { isArray, isMap, isNamespace, isString } from './template-values.js';

/** Largest text, in UTF-16 units, that a template may make or handle; also the bound of a list's or object's content. */
export const maxTextUnits = 8 * 2 ** 20;
/** One unit: one evaluated node, 64 characters handled, or 512 comparisons of a search. Together a few seconds at most. */
const maxUnits = 4_000_000;

/** What one rendering may still do. Counted, not timed: the same template is refused on every machine. */
export class TemplateBudget {
  private units = 0;
  private readonly weights = new WeakMap<object, number>();

  charge(units: number): void {
    this.units += units;
    if (this.units > maxUnits) throw new ModelError('bad_template', `chat template: needs more than ${maxUnits} steps; refused`);
  }

  /** To be asked before a text of that length is made. */
  bounded(length: number): void {
    if (length > maxTextUnits)
      throw new ModelError('bad_template', `chat template: makes a value of more than ${maxTextUnits} characters; refused`);
  }

  /** A search for m characters in n can take n * m comparisons. */
  search(pattern: string, text: string): void {
    this.charge((pattern.length * text.length) / 512);
  }

  /** Cost of printing a value, shared parts counted each time: [a, a] of [b, b] of ... doubles at each level. */
  weight(v: Value): number {
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
}
