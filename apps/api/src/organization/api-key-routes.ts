/** API keys of a project. The key itself is in the one answer that made it; stored is its HMAC. */
import { randomBytes } from 'node:crypto';
import { ApiKeyDeleted, ApiKeyObject, base62FromBytes, CreateApiKeyBody, listOf, newId, RotateApiKeyBody } from '@rowsmith/contracts';
import type { ApiKeyStore, ProjectStore } from '@rowsmith/core';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { badRequest, notFound, notPossible } from '../http/api-error.js';
import { hashApiKey } from '../http/auth.js';
import { listOfItems, pageQuery, requireCursor } from '../http/paging.js';
import { failures, json, named } from '../http/replies.js';
import type { Routes } from '../http/routes.js';
import { callerProject, requireActive, requireCovered } from './caller-project.js';
import { toKeyObject } from './organization-objects.js';
import { ProjectParams } from './project-routes.js';

export interface ApiKeyDeps {
  readonly projects: Pick<ProjectStore, 'get'>;
  readonly keys: ApiKeyStore;
  readonly pepper: string;
}

const maxKeys = 200;
const dayInSeconds = 86_400;
const KeyParams = Type.Object(
  { ...ProjectParams.properties, key: Type.String({ minLength: 1, maxLength: 128 }) },
  { additionalProperties: false },
);
const Key = named(ApiKeyObject, 'ProjectApiKey');
const tags = ['organization'];

const noSuchKey = (id: string) => notFound(`No such API key: '${id}'.`, 'api_key_not_found', 'key');

/** 238 bits. */
function newSecret(pepper: string) {
  const value = `rsk_${base62FromBytes(randomBytes(96), 40)}`;
  return { value, stored: { id: newId('apiKey', randomBytes), hash: hashApiKey(pepper, value), last4: value.slice(-4) } };
}

export const apiKeyRoutes: Routes<ApiKeyDeps> = (app, { projects, keys, pepper }, { organization }) => {
  const path = `${organization}/projects/:id/api_keys`;
  const keyOf = async (request: FastifyRequest, { id, key: keyId }: { readonly id: string; readonly key: string }) => {
    const project = await callerProject(request, projects, id);
    const key = await keys.get(project.id, keyId);
    if (key === null) throw noSuchKey(keyId);
    return { project, key };
  };

  app.post(
    path,
    {
      config: { scope: 'admin', action: 'api_key.created' },
      schema: {
        ...{ tags, summary: 'Create an API key', params: ProjectParams, body: CreateApiKeyBody },
        description: 'With at most the scopes of the key that asks for it.',
        response: { 200: json('The key, with its value this one time', Key), ...failures(404, 413, 415) },
      },
    },
    async (request) => {
      const { name, scopes = ['write'], expires_at: end = null } = request.body;
      const project = await callerProject(request, projects, request.params.id);
      requireActive(project);
      requireCovered(request, scopes);
      if (end !== null && end * 1000 <= Date.now()) throw badRequest("'expires_at' lies in the past.", 'invalid_value', 'expires_at');
      const { value, stored } = newSecret(pepper);
      const expiresAt = end === null ? null : new Date(end * 1000);
      const key = await keys.create({ ...stored, projectId: project.id, name, scopes, expiresAt }, maxKeys);
      if (key === 'full') throw notPossible(`A project can have ${maxKeys} API keys; delete one first.`, 'limit_reached');
      return { ...toKeyObject(key), value };
    },
  );

  app.get(
    path,
    {
      config: { scope: 'admin' },
      schema: {
        ...{ tags, summary: 'List API keys' },
        params: ProjectParams,
        querystring: Type.Object(pageQuery(20, 100), { additionalProperties: false }),
        response: { 200: json('Keys that were not deleted, newest first', listOf(Key)), ...failures(404) },
      },
    },
    async (request) => {
      const { after, limit = 20 } = request.query;
      const { id } = await callerProject(request, projects, request.params.id);
      await requireCursor(after, (key) => keys.get(id, key), 'API key');
      return listOfItems(await keys.list(id, { after, limit }), toKeyObject);
    },
  );

  app.get(
    `${path}/:key`,
    {
      config: { scope: 'admin' },
      schema: {
        ...{ tags, summary: 'Get an API key', params: KeyParams },
        response: { 200: json('The key, without its value', Key), ...failures(404) },
      },
    },
    async (request) => toKeyObject((await keyOf(request, request.params)).key),
  );

  app.delete(
    `${path}/:key`,
    {
      config: { scope: 'admin', action: 'api_key.deleted' },
      schema: {
        ...{ tags, summary: 'Revoke an API key', params: KeyParams },
        description: 'At once and for good.',
        response: { 200: json('Revoked', ApiKeyDeleted), ...failures(404) },
      },
    },
    async (request) => {
      const { project, key } = await keyOf(request, request.params);
      requireCovered(request, key.scopes);
      if (!(await keys.revoke(project.id, key.id))) throw noSuchKey(key.id);
      return { object: 'organization.project.api_key.deleted' as const, id: key.id, deleted: true };
    },
  );

  app.post(
    `${path}/:key/rotate`,
    {
      config: { scope: 'admin', action: 'api_key.rotated' },
      schema: {
        ...{ tags, summary: 'Replace an API key', params: KeyParams, body: Type.Union([RotateApiKeyBody, Type.Null()]) },
        description:
          'The new key has the name, scopes and length of life of the old one, which expires when the overlap ends. Put the new one everywhere in that time.',
        response: { 200: json('The new key, with its value this one time', Key), ...failures(404, 413, 415) },
      },
    },
    async (request) => {
      const { project, key } = await keyOf(request, request.params);
      requireActive(project);
      requireCovered(request, key.scopes);
      const { value, stored } = newSecret(pepper);
      const next = await keys.rotate(project.id, key.id, stored, request.body?.overlap_seconds ?? dayInSeconds);
      if (next === null) throw noSuchKey(key.id);
      if (next === 'expired') throw notPossible(`API key ${key.id} has expired; create a new one.`, 'api_key_expired', 'key');
      return { ...toKeyObject(next), value };
    },
  );
};
