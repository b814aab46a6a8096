import { AuditLogObject, auditActions, listOf } from '@rowsmith/contracts';
import type { AuditStore } from '@rowsmith/core';
import { Type } from 'typebox';
import { projectOf } from '../http/auth.js';
import { listOfItems, noSuchCursor, pageQuery } from '../http/paging.js';
import { failures, json, named } from '../http/replies.js';
import type { Routes } from '../http/routes.js';
import { managesAll } from './caller-project.js';
import { toAuditObject } from './organization-objects.js';

export interface AuditDeps {
  readonly audit: Pick<AuditStore, 'list'>;
}

const oneOrMore = (item: ReturnType<typeof Type.String>, description: string) =>
  Type.Optional(Type.Union([item, Type.Array(item, { minItems: 1, maxItems: 100 })], { description }));
const anId = Type.String({ minLength: 1, maxLength: 128 });
const second = (description: string) =>
  Type.Optional(Type.Integer({ minimum: 0, maximum: 253_402_300_799, description: `unix seconds ${description}` }));
/** OpenAI's names. */
const Query = Type.Object(
  {
    ...pageQuery(20, 100),
    'event_types[]': oneOrMore(Type.String({ enum: [...auditActions] }), 'only these'),
    'project_ids[]': oneOrMore(anId, 'only what was done in these'),
    'actor_ids[]': oneOrMore(anId, 'only what these API keys did'),
    'resource_ids[]': oneOrMore(anId, 'only what was done to these'),
    'effective_at[gt]': second('after which it was done'),
    'effective_at[gte]': second('at or after which it was done'),
    'effective_at[lt]': second('before which it was done'),
    'effective_at[lte]': second('at or before which it was done'),
  },
  { additionalProperties: false },
);

const listed = (value: string | readonly string[] | undefined) => (value === undefined ? undefined : [value].flat());
const latest = (...bounds: (number | undefined)[]) => {
  const given = bounds.filter((bound) => bound !== undefined);
  return given.length === 0 ? undefined : Math.max(...given);
};
const earliest = (...bounds: (number | undefined)[]) => {
  const given = bounds.filter((bound) => bound !== undefined);
  return given.length === 0 ? undefined : Math.min(...given);
};
const plus = (bound: number | undefined, seconds: number) => (bound === undefined ? undefined : bound + seconds);

export const auditRoutes: Routes<AuditDeps> = (app, { audit }, { organization }) => {
  app.get(
    `${organization}/audit_logs`,
    {
      config: { scope: 'admin' },
      schema: {
        ...{ tags: ['organization'], summary: 'Who did what', querystring: Query },
        description:
          "Every write that took effect, and every one that a key was not allowed to: with the scope `organization` of all projects, else of the key's own.",
        response: { 200: json('Entries, newest first', listOf(named(AuditLogObject, 'AuditLog'))), ...failures() },
      },
    },
    async (request) => {
      const { after, limit = 20, ...query } = request.query;
      const own: string = projectOf(request);
      const asked = listed(query['project_ids[]']) ?? null;
      const page = await audit.list(
        {
          projectIds: managesAll(request) ? asked : [own].filter((id) => asked === null || asked.includes(id)),
          actions: listed(query['event_types[]']),
          keyIds: listed(query['actor_ids[]']),
          resourceIds: listed(query['resource_ids[]']),
          from: latest(query['effective_at[gte]'], plus(query['effective_at[gt]'], 1)),
          until: earliest(query['effective_at[lte]'], plus(query['effective_at[lt]'], -1)),
        },
        { after, limit },
      );
      if (page === 'no_cursor') throw noSuchCursor(after, 'audit log entry');
      return listOfItems(page, toAuditObject);
    },
  );
};
