/**
 * Compiled serialisers, one for each schema that differs. Fastify compiles one for every status of every route: two thousand, nearly all of them of the
 * same error body, which take seconds of the start and most of the process's memory.
 */
import { SerializerSelector } from '@fastify/fast-json-stringify-compiler';

type Build = ReturnType<typeof SerializerSelector>;
type Node = Readonly<Record<string, unknown>>;

const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null && !Array.isArray(value);

/** One schema for a choice between kinds of JSON that the value itself tells apart; null: there is none. */
function merged(choices: readonly unknown[]): Node | null {
  const nodes = choices.filter(isNode);
  const types = nodes.map(({ type }) => type);
  if (nodes.length < choices.length || types.some((type) => typeof type !== 'string') || new Set(types).size < types.length) return null;
  const others = nodes.filter(({ type }) => type !== 'null');
  const [only] = others;
  const nullable = others.length < nodes.length ? { nullable: true } : {};
  if (others.length === 1) return { ...only, ...nullable };
  return types.includes('null') ? null : { ...Object.assign({}, ...others), type: types };
}

/**
 * The same schema for writing only. A serialiser runs a validator for each branch of an `anyOf` until one agrees, a thousand times for a page of metrics, and compiles
 * these validators while the first answer waits; "a number or null" needs only a look at the value.
 */
export function withoutChoices(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(withoutChoices);
  if (!isNode(schema)) return schema;
  const { anyOf, ...rest } = Object.fromEntries(Object.entries(schema).map(([name, inner]) => [name, withoutChoices(inner)]));
  if (!Array.isArray(anyOf)) return anyOf === undefined ? rest : { ...rest, anyOf };
  const one = merged(anyOf);
  return one === null ? { ...rest, anyOf } : { ...rest, ...one };
}

/** For one server: Fastify asks for a compiler route by route, and all of them share what was compiled. */
export function sharedSerializers(): Build {
  const compiled = new Map<string, ReturnType<ReturnType<Build>>>();
  const simpler = new Map<string, unknown>();
  return (externalSchemas, options) => {
    // What a reference means, within one server.
    const known = Object.keys(externalSchemas ?? {}).join();
    if (!simpler.has(known)) simpler.set(known, withoutChoices(externalSchemas));
    return (route) => {
      const key = `${known} ${JSON.stringify(route.schema)}`;
      const earlier = compiled.get(key);
      if (earlier !== undefined) return earlier;
      const fresh = SerializerSelector()(simpler.get(known), options)({ ...route, schema: withoutChoices(route.schema) });
      compiled.set(key, fresh);
      return fresh;
    };
  };
}
