import { JobObject, MetricPoint } from '@rowsmith/contracts';
import Fastify from 'fastify';
import { type TSchema, Type } from 'typebox';
import { expect, test } from 'vitest';
import { sharedSerializers, withoutChoices } from './serializers.js';

async function sent(schema: TSchema, value: unknown): Promise<string> {
  const app = Fastify({ schemaController: { compilersFactory: { buildSerializer: sharedSerializers() } } });
  app.get('/', { schema: { response: { 200: schema } } }, async () => value);
  return (await app.inject('/')).body;
}

const Choice = Type.Object({
  text: Type.Union([Type.String({ minLength: 1 }), Type.Null()]),
  share: Type.Union([Type.Number(), Type.Null()]),
  rows: Type.Union([Type.Integer({ minimum: 1 }), Type.Object({ ratio: Type.Number() })]),
  list: Type.Union([Type.Array(Type.Object({ name: Type.Union([Type.String(), Type.Null()]) })), Type.Null()]),
  error: Type.Union([Type.Object({ code: Type.String(), param: Type.Union([Type.String(), Type.Null()]) }), Type.Null()]),
});

test('a choice between kinds of JSON is written as it is, null as null', async () => {
  for (const value of [
    { text: 'a "b"', share: 0.25, rows: 16, list: [{ name: null }, { name: 'x' }], error: { code: 'c', param: null } },
    { text: null, share: null, rows: { ratio: 0.5 }, list: null, error: null },
    { text: '', share: 0, rows: 1, list: [], error: { code: '', param: 'p' } },
  ])
    expect(await sent(Choice, value)).toBe(JSON.stringify(value));
});

test('what clients read hundreds of times a second has no choice left that needs a validator', () => {
  expect(JSON.stringify(withoutChoices(MetricPoint))).not.toContain('anyOf');
  // Two kinds of integration are told apart by a field, which needs one; most jobs have none.
  const { integrations: _, ...properties } = JobObject.properties;
  expect(JSON.stringify(withoutChoices(properties))).not.toContain('anyOf');
});

test('choices that a look at the value does not decide are left alone', async () => {
  const Tagged = Type.Union([
    Type.Object({ kind: Type.Literal('a'), a: Type.Integer() }),
    Type.Object({ kind: Type.Literal('b'), b: Type.String() }),
  ]);
  expect(withoutChoices(Tagged)).toHaveProperty('anyOf');
  for (const value of [
    { kind: 'a', a: 1 },
    { kind: 'b', b: 'x' },
  ])
    expect(await sent(Tagged, value)).toBe(JSON.stringify(value));
});

test('routes with the same answer share one serialiser', async () => {
  const build = sharedSerializers();
  const route = { method: 'GET', url: '/', httpStatus: '200', schema: Choice };
  expect(build({}, {})({ ...route })).toBe(build({}, {})({ ...route, url: '/other', schema: structuredClone(Choice) }));
  const reference = { ...route, schema: { $ref: 'a#' } };
  const other = { ...route, schema: { $ref: 'b#' } };
  const schemas = { a: { $id: 'a', type: 'string' }, b: { $id: 'b', type: 'integer' } };
  expect(build(schemas, {})(reference)).not.toBe(build(schemas, {})(other));
});
