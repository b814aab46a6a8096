/**
 * Request validation. Bodies are taken as they are: no value is converted, no unknown field dropped (Fastify's own compiler does both,
 * so a misspelt `learning_rate` would train at the default). Query strings and path parameters are text, so their numbers are converted.
 */
import { Ajv, type AnySchema, type ErrorObject, type Options } from 'ajv';
import type { FastifyInstance, FastifySchemaCompiler } from 'fastify';
import { ApiError } from './api-error.js';
import { unstorableText } from './unstorable-text.js';
import { faultsOf, jsonPath } from './validation-message.js';

const options: Options = { allErrors: true, verbose: true, removeAdditional: false, coerceTypes: false, strict: false };
const maxFaultsTold = 8;

/** The 400 for a failed validation; every fault is in the message, the first one in `param` and `code`. */
export function validationError(errors: readonly ErrorObject[]): ApiError {
  const faults = faultsOf(errors);
  const told = faults.slice(0, maxFaultsTold).map((f) => f.message);
  if (faults.length > maxFaultsTold) told.push(`(${faults.length - maxFaultsTold} more)`);
  return new ApiError(400, { message: told.join(' '), code: faults[0]?.code ?? 'invalid_value', param: faults[0]?.param ?? null });
}

function unstorableError(path: readonly string[]): ApiError {
  const param = jsonPath(path) || null;
  const where = param === null ? 'the request' : `'${param}'`;
  const message = `Invalid value for ${where}: text must not hold NUL characters or halves of surrogate pairs, and nothing may be nested deeper than 64 levels.`;
  return new ApiError(400, { message, code: 'invalid_value', param });
}

/** `shared` are the schemas that bodies refer to by `$id`. */
export function useStrictValidation(app: FastifyInstance, shared: readonly AnySchema[]): void {
  const strict = new Ajv({ ...options, schemas: [...shared] });
  const fromText = new Ajv({ ...options, coerceTypes: true });
  const compile: FastifySchemaCompiler<object> = ({ schema, httpPart }) => {
    const validate = (httpPart === 'body' ? strict : fromText).compile(schema);
    return (data: unknown) => {
      if (!validate(data)) return { error: validationError(validate.errors ?? []) };
      // Headers cannot hold such text.
      const unstorable = httpPart === 'headers' ? null : unstorableText(data);
      return unstorable === null ? { value: data } : { error: unstorableError(unstorable) };
    };
  };
  app.setValidatorCompiler(compile);
}
