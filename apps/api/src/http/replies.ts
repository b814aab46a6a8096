/** Response declarations. Every route names every status it returns; failures share one schema. */
import { ApiErrorBody } from '@rowsmith/contracts';
import { type Static, type TSchema, Type } from 'typebox';

/** A reference to a schema registered with `addSchema`, so that the OpenAPI document names it once. */
export const named = <T extends TSchema>(_schema: T, id: string) => Type.Unsafe<Static<T>>({ $ref: `${id}#` });

const failure = (description: string) => ({ description, content: { 'application/json': { schema: named(ApiErrorBody, 'Error') } } });

const meanings = {
  400: 'The request is not valid; `param` names the field.',
  401: 'No API key, or a wrong one.',
  403: 'The key lacks the scope that this needs.',
  404: 'There is no such object in your project.',
  409: 'The object is in a state that does not allow this; retrying does not help.',
  413: 'The body is larger than the limit.',
  415: 'The content type is not taken here.',
  416: 'The range lies outside the content.',
  422: 'The same `Idempotency-Key` was used with another body.',
  429: 'Too many requests, see `retry-after`; or `insufficient_quota`: the project has used up what it may.',
  431: 'The URL and the headers together are too long.',
  500: 'The server had an error.',
  503: 'Something behind the server does not answer, or it is overloaded; see `retry-after`.',
} as const;
export type FailureStatus = keyof typeof meanings;

/** Failures that any route with a key may return. */
const always: readonly FailureStatus[] = [400, 401, 403, 429, 431, 500, 503];

export function failures(...extra: FailureStatus[]): Record<number, ReturnType<typeof failure>> {
  return Object.fromEntries([...always, ...extra].sort().map((status) => [status, failure(meanings[status])]));
}

/** A JSON body. */
export const json = (description: string, schema: TSchema) => ({ description, content: { 'application/json': { schema } } });

/** Text in the document, a stream in the handler. */
export const streamed = Type.Unsafe<unknown>(Type.String());

/** Bytes or text of other types; sent as streams, so nothing is serialised by the schema. */
export const content = (description: string, ...types: string[]) => ({
  description,
  content: Object.fromEntries(types.map((type) => [type, { schema: streamed }])),
});
