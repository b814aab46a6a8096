import { ModelError } from '../errors.js';
import { BoundedInterpreter, boundedRange } from './bounded-interpreter.js';
import { Environment, type Node, parse, tokenize } from './jinja-library.js';
import { maxTextUnits } from './template-budget.js';
import { functionValue, isString } from './template-values.js';

/** Renders with these variables; throws ModelError `bad_template`, or `template_raised` when the template itself refuses the messages. */
export type CompiledTemplate = (variables: Readonly<Record<string, unknown>>) => string;

const maxTemplateUnits = 256 * 2 ** 10;
/** The library's lexer takes time quadratic in a run of whitespace before a tag. */
const maxBlankRun = 1000;

/** Statements print nothing themselves, or their blocks do. */
const silent = new Set(['If', 'For', 'Set', 'Macro', 'Comment', 'CallStatement', 'FilterStatement', 'Break', 'Continue', 'StringLiteral']);

/** Parses a Jinja chat template with the block settings transformers uses (trim_blocks, lstrip_blocks). */
export function compileTemplate(source: string, file: string): CompiledTemplate {
  const refuse = (message: string, cause?: unknown) => new ModelError('bad_template', `chat template: ${message}`, { file, cause });
  if (source.length > maxTemplateUnits) throw refuse(`has ${source.length} characters; at most ${maxTemplateUnits} are accepted`);
  if (new RegExp(`\\s{${maxBlankRun}}`).test(source)) throw refuse(`holds ${maxBlankRun} blanks in a row`);
  let program: Node;
  try {
    program = parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
    markOutputs(program);
  } catch (cause) {
    throw refuse(`cannot be parsed: ${(cause as Error).message}`, cause);
  }
  return (variables) => {
    const scope = new Environment();
    const raised: string[] = [];
    scope.setVariable('range', functionValue(boundedRange));
    scope.setVariable(
      'raise_exception',
      functionValue(([message]) => {
        raised.push(message && isString(message) ? message.value.slice(0, 500) : 'no reason given');
        throw new Error('raised');
      }),
    );
    for (const [name, value] of Object.entries({ ...constants, ...variables })) scope.set(name, value);
    try {
      const text = new BoundedInterpreter(scope).evaluate(program, scope);
      if (!isString(text)) throw refuse('printed no text');
      return text.value;
    } catch (cause) {
      if (raised[0] !== undefined)
        throw new ModelError('template_raised', `the chat template refuses these messages: ${raised[0]}`, { file, cause });
      if (cause instanceof ModelError) throw cause.file === undefined ? new ModelError(cause.code, cause.message, { file, cause }) : cause;
      if (cause instanceof RangeError) throw refuse(`recursion or a value beyond ${maxTextUnits} characters`, cause);
      throw refuse((cause as Error).message || 'break or continue outside a loop', cause);
    }
  };
}

const constants = { true: true, false: false, none: null, True: true, False: false, None: null };

/** Wraps every printed expression, so that values print as in Python; the library's own printing is JSON-like. */
function markOutputs(node: Node): void {
  for (const field of ['body', 'alternate', 'defaultBlock']) {
    const block = node[field];
    if (!Array.isArray(block)) continue;
    block.forEach((statement: Node, i) => {
      markOutputs(statement);
      if (!silent.has(statement.type)) block[i] = { type: 'Output', expression: statement };
    });
  }
}
