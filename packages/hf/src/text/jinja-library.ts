/**
 * The parts of @huggingface/jinja that are used, with types. Its own declarations import each other without file endings, which NodeNext does
 * not resolve: everything would be `any`. Only the shapes stated here are relied on; the tests against transformers would notice a change.
 */
import * as library from '@huggingface/jinja';

interface Base<T extends string, V> {
  readonly type: T;
  readonly value: V;
  readonly builtins: ReadonlyMap<string, Value>;
  __bool__(): { readonly value: boolean };
  toString(): string;
}
export type StringValue = Base<'StringValue', string>;
export type NumberValue = Base<'IntegerValue' | 'FloatValue', number>;
export type BooleanValue = Base<'BooleanValue', boolean>;
export type ArrayValue = Base<'ArrayValue' | 'TupleValue', Value[]>;
export type MapValue = Base<'ObjectValue' | 'NamespaceValue' | 'KeywordArgumentsValue', Map<string, Value>>;
export type FunctionValue = Base<'FunctionValue', NativeFunction>;
export type NoValue = Base<'NullValue' | 'UndefinedValue', null | undefined>;
export type Value = StringValue | NumberValue | BooleanValue | ArrayValue | MapValue | FunctionValue | NoValue;
export type NativeFunction = (args: Value[], scope: Environment) => Value;

/** A node of the syntax tree; which fields a type has is in the library's ast.d.ts. */
export type Node = { readonly type: string } & { [field: string]: unknown };

export interface Environment {
  /** Converts a JavaScript value; throws when the name is taken. */
  set(name: string, value: unknown): Value;
  setVariable(name: string, value: Value): Value;
}
interface Interpreter {
  evaluate(node: Node | undefined, scope: Environment): Value;
}
interface Token {
  readonly value: string;
  readonly type: string;
}

export const Environment = library.Environment as unknown as new (parent?: Environment) => Environment;
export const Interpreter = library.Interpreter as unknown as new (scope: Environment) => Interpreter;
export const tokenize = library.tokenize as unknown as (
  source: string,
  options: { lstrip_blocks: boolean; trim_blocks: boolean },
) => Token[];
export const parse = library.parse as unknown as (tokens: Token[]) => Node;
