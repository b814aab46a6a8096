/** Turns what Ajv found into one sentence a person can act on, with the JSON path of the field. */
import type { ErrorObject } from 'ajv';

export interface Fault {
  readonly param: string | null;
  readonly code: 'unknown_parameter' | 'missing_required_parameter' | 'invalid_type' | 'invalid_value';
  readonly message: string;
}
interface SchemaShape {
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly SchemaShape[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly properties?: Readonly<Record<string, SchemaShape>>;
}

/** `/row_sparse/layers/0` becomes `row_sparse.layers[0]`. */
function pathOf(pointer: string, last?: string): string {
  const parts = pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
  if (last !== undefined) parts.push(last);
  return jsonPath(parts);
}

/** `a.b[0]` of its parts. */
export const jsonPath = (parts: readonly string[]) =>
  parts.reduce((path, part) => (/^\d+$/.test(part) ? `${path}[${part}]` : path === '' ? part : `${path}.${part}`), '');

function range(schema: SchemaShape): string {
  const low =
    schema.minimum !== undefined ? ` >= ${schema.minimum}` : schema.exclusiveMinimum !== undefined ? ` > ${schema.exclusiveMinimum}` : '';
  const high = schema.maximum === undefined ? '' : `${low === '' ? '' : ' and'} <= ${schema.maximum}`;
  return `${low}${high}`;
}

/** "an integer >= 1 and <= 50", "one of 'l2', 'l1'", ... */
function describe(schema: SchemaShape): string {
  if (schema.anyOf) {
    const listed = schema.anyOf.flatMap((branch) => branch.enum ?? []);
    return schema.anyOf
      .filter((branch) => branch.const === undefined || !listed.includes(branch.const))
      .map(describe)
      .join(' or ');
  }
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return `one of ${schema.enum.map((v) => JSON.stringify(v)).join(', ')}`;
  switch (schema.type) {
    case 'integer':
      return `an integer${range(schema)}`;
    case 'number':
      return `a number${range(schema)}`;
    case 'string': {
      const low = schema.minLength ?? 0;
      const length = schema.maxLength === undefined ? '' : ` of ${low} to ${schema.maxLength} characters`;
      return `a string${length}${schema.pattern === undefined ? '' : ` that matches ${schema.pattern}`}`;
    }
    case 'object':
      return schema.properties ? `an object with ${Object.keys(schema.properties).join(', ')}` : 'an object';
    case 'array':
      return 'an array';
    default:
      return String(schema.type ?? 'another value');
  }
}

const typeName = (value: unknown) =>
  value === null ? 'null' : Array.isArray(value) ? 'an array' : typeof value === 'object' ? 'an object' : `a ${typeof value}`;

function faultOf(error: ErrorObject): Fault {
  const params = error.params as Readonly<Record<string, unknown>>;
  if (error.keyword === 'additionalProperties') {
    const param = pathOf(error.instancePath, String(params['additionalProperty']));
    return { param, code: 'unknown_parameter', message: `Unknown parameter: '${param}'.` };
  }
  if (error.keyword === 'required') {
    const param = pathOf(error.instancePath, String(params['missingProperty']));
    return { param, code: 'missing_required_parameter', message: `Missing required parameter: '${param}'.` };
  }
  const param = pathOf(error.instancePath) || null;
  const name = param === null ? 'the request body' : `'${param}'`;
  if (error.keyword === 'propertyNames') {
    return {
      param,
      code: 'invalid_value',
      message: `Invalid value for ${name}: the key ${JSON.stringify(params['propertyName'])} is not allowed (1 to 64 characters).`,
    };
  }
  const schema = (error.parentSchema ?? {}) as SchemaShape;
  if (error.keyword === 'type') {
    return { param, code: 'invalid_type', message: `Invalid type for ${name}: expected ${describe(schema)}, got ${typeName(error.data)}.` };
  }
  const counts: Readonly<Record<string, string>> = {
    minItems: `it must have at least ${String(params['limit'])} items`,
    maxItems: `it must have at most ${String(params['limit'])} items`,
    uniqueItems: 'its items must be different',
    maxProperties: `it must have at most ${String(params['limit'])} keys`,
    additionalItems: `it must have at most ${String(params['limit'])} items`,
  };
  const expected = counts[error.keyword] ?? `expected ${describe(schema)}`;
  return { param, code: 'invalid_value', message: `Invalid value for ${name}: ${expected}.` };
}

const takes = (schema: SchemaShape, type: string): boolean =>
  schema.type === type || (schema.anyOf ?? []).some((branch) => takes(branch, type));

/** `type` where every branch is an object that names itself by it, e.g. an integration. */
const kindsOf = (branches: readonly SchemaShape[]): readonly unknown[] | null => {
  const kinds = branches.map((branch) => branch.properties?.['type']?.const);
  return kinds.length > 1 && kinds.every((kind) => kind !== undefined) ? kinds : null;
};
const kindOf = (data: unknown): unknown => (typeof data === 'object' && data !== null && 'type' in data ? data.type : undefined);

/** The one fault of a union of kinds whose `type` is none of them; null for every other union. */
function kindFault({ parentSchema, data, instancePath }: ErrorObject): Fault | null {
  const kinds = kindsOf(((parentSchema ?? {}) as SchemaShape).anyOf ?? []);
  if (kinds === null || typeof data !== 'object' || data === null || Array.isArray(data)) return null;
  const param = pathOf(instancePath, 'type');
  if (!('type' in data)) return { param, code: 'missing_required_parameter', message: `Missing required parameter: '${param}'.` };
  if (kinds.includes(data.type)) return null;
  const expected = `one of ${kinds.map((kind) => JSON.stringify(kind)).join(', ')}`;
  return { param, code: 'invalid_value', message: `Invalid value for '${param}': expected ${expected}.` };
}

/**
 * The branch of a union that was meant, so that the fault inside it can be told: the one whose `type` was given, X of `X or null`, the only one that takes an
 * array or an object when one was given; -1 when it is not known.
 */
function meantBranch({ parentSchema, data }: ErrorObject): number {
  const branches = ((parentSchema ?? {}) as SchemaShape).anyOf ?? [];
  const kinds = kindsOf(branches);
  if (kinds !== null) return kinds.indexOf(kindOf(data));
  if (typeof data === 'object' && data !== null) {
    const type = Array.isArray(data) ? 'array' : 'object';
    const taking = branches.flatMap((branch, i) => (takes(branch, type) ? [i] : []));
    if (taking.length === 1) return taking[0] ?? -1;
  }
  return data !== null && branches.length === 2 && branches.some(({ type }) => type === 'null')
    ? branches.findIndex(({ type }) => type !== 'null')
    : -1;
}

/** Of this very value: items of a list share the schema's path. */
const isWithin = (error: ErrorObject, union: ErrorObject) =>
  error.schemaPath.startsWith(`${union.schemaPath}/`) && `${error.instancePath}/`.startsWith(`${union.instancePath}/`);

/** Misspelt names first, since a missing field is often its twin. Faults inside the branches of a failed union are told by the union's own line. */
export function faultsOf(errors: readonly ErrorObject[]): readonly Fault[] {
  const unions = errors.filter((e) => e.keyword === 'anyOf');
  const inOtherKind = (error: ErrorObject) =>
    unions.some((union) => {
      if (!isWithin(error, union)) return false;
      const meant = meantBranch(union);
      const named = kindsOf(((union.parentSchema ?? {}) as SchemaShape).anyOf ?? []) !== null;
      return named && !error.schemaPath.startsWith(`${union.schemaPath}/${meant}/`);
    });
  const told = errors.filter((error) => {
    if (inOtherKind(error)) return false;
    if (error.keyword === 'anyOf') {
      const misspeltInside = errors.some(
        (e) => e.keyword === 'additionalProperties' && e.instancePath.startsWith(error.instancePath) && !inOtherKind(e),
      );
      return !misspeltInside && meantBranch(error) < 0;
    }
    if (error.keyword === 'additionalProperties') return true;
    if (error.propertyName !== undefined) return false;
    return unions.every((union) => {
      if (!isWithin(error, union)) return true;
      const meant = meantBranch(union);
      return meant >= 0 && error.schemaPath.startsWith(`${union.schemaPath}/${meant}/`);
    });
  });
  const faults = told.map((error) => (error.keyword === 'anyOf' ? kindFault(error) : null) ?? faultOf(error));
  // Two rules of one field (a length and a pattern) say the same sentence.
  const different = faults.filter(({ message }, i) => faults.findIndex((other) => other.message === message) === i);
  return [...different.filter((f) => f.code === 'unknown_parameter'), ...different.filter((f) => f.code !== 'unknown_parameter')];
}
