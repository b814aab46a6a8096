/**
 * Compiled serialisers, one for each schema that differs. Fastify compiles one for every status of every route: two thousand, nearly all of them of the
 * same error body, which take seconds of the start and most of the process's memory.
 */
import { SerializerSelector } from '@fastify/fast-json-stringify-compiler';

type Build = ReturnType<typeof SerializerSelector>;

export const sharedSerializers: Build = (externalSchemas, options) => {
  const compile = SerializerSelector()(externalSchemas, options);
  const compiled = new Map<string, ReturnType<typeof compile>>();
  return (route) => {
    const key = JSON.stringify(route.schema);
    const known = compiled.get(key);
    if (known !== undefined) return known;
    const fresh = compile(route);
    compiled.set(key, fresh);
    return fresh;
  };
};
