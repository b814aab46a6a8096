/**
 * Every route of the OpenAPI document, with the keys that must not get in: another project's (404, as if the object were not there), none, a wrong, an
 * expired, a revoked one (401), and one without the scope (403). A route added later is walked without a change here, unless it has parameters of a
 * new kind: then the walk fails until they are given.
 */
import { type Scope, scopes } from '@rowsmith/contracts';
import { covers } from '@rowsmith/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openApiDocument } from './http/openapi.js';
import { formOf, openTestApi, type TestApi } from './testing/test-api.js';

interface Operation {
  readonly security?: readonly Readonly<Record<string, readonly string[]>>[];
}
interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** As in the document. */
  readonly path: string;
  /** null: answers without a key. */
  readonly scope: Scope | null;
}
interface Key {
  readonly id: string;
  readonly value: string;
}

let api: TestApi;
let routes: readonly Route[];
/** An object of the main project for every kind of parameter, by what stands before it in the path. */
let owned: Readonly<Record<string, string>>;

const post = async <T>(url: string, payload: object) => {
  const answer = await api.app.inject({ method: 'POST', url, headers: api.headers(), payload });
  if (answer.statusCode !== 200) throw new Error(answer.payload);
  return answer.json<T>();
};
const newKey = (body: object) => post<Key>('/organization/projects/current/api_keys', { name: 'walker', ...body });
const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

beforeAll(async () => {
  api = await openTestApi();
  const document = openApiDocument(api.app)['paths'] as Record<string, Record<string, Operation>>;
  routes = Object.entries(document).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, { security }]) => {
      const needed = security?.[0]?.['bearer'] ?? [];
      if (security?.length !== 0 && needed.length !== 1) throw new Error(`${method} ${path} needs no scope`);
      return { method: method.toUpperCase() as Route['method'], path, scope: (needed[0] as Scope | undefined) ?? null };
    }),
  );
  const file = await api.uploadExamples();
  const job = await api.createJob(file.id);
  await api.succeed(job.id, 2);
  const upload = await post<{ id: string }>('/uploads', {
    purpose: 'fine-tune',
    filename: 'rows.jsonl',
    bytes: 9,
    mime_type: 'text/jsonl',
  });
  const endpoint = await post<{ id: string }>('/webhook_endpoints', { url: 'https://hooks.invalid/rows' });
  const delivery = await post<{ id: string }>(`/webhook_endpoints/${endpoint.id}/test`, {});
  const key = await newKey({});
  const { project_id: project } = (await api.inject('GET', `/organization/projects/current/api_keys/${key.id}`)).json<{
    project_id: string;
  }>();
  owned = {
    files: file.id,
    jobs: job.id,
    models: (await api.getJob(job.id)).fine_tuned_model ?? '',
    uploads: upload.id,
    webhook_endpoints: endpoint.id,
    webhook_deliveries: delivery.id,
    projects: project,
    api_keys: key.id,
    adapter: 'adapter_model.safetensors',
  };
});
afterAll(() => api.close());

const withIds = () => routes.filter(({ path }) => path.includes('{'));

/** Every parameter filled in by the kind of object that it names. Throws for a kind that nobody made one of. */
function urlOf(path: string, of: Readonly<Record<string, string>> = owned): string {
  return path.replace(/([^/{}]+)\/\{\w+\}/g, (_whole, kind: string) => {
    const id = of[kind];
    if (id === undefined) throw new Error(`${path}: make an object of the kind '${kind}' for this test`);
    return `${kind}/${encodeURIComponent(id)}`;
  });
}
// What is wrong with a body is said before anything is looked up, so those that need one get one that is right.
const bodies: Readonly<Record<string, object>> = {
  '/complete': { part_ids: ['part_x'] },
  '/clone': {},
  '/webhook_endpoints/{id}': { description: 'mine' },
  '/projects/{id}': { name: 'mine', quotas: { queued_jobs: 1 } },
  '/api_keys': { name: 'mine' },
};
function call({ method, path }: Route, headers: Readonly<Record<string, string>>, url = urlOf(path)) {
  if (method !== 'POST') return api.app.inject({ method, url, headers });
  if (path.endsWith('/parts')) {
    const form = formOf([{ name: 'data', filename: 'part', content: 'x' }]);
    return api.app.inject({ method, url, headers: { ...headers, ...form.headers }, payload: form.body });
  }
  const body = Object.entries(bodies).find(([end]) => path.endsWith(end))?.[1];
  return api.app.inject({ method, url, headers, ...(body === undefined ? {} : { payload: body }) });
}
const told = ({ method, path }: Route, answer: { readonly statusCode: number; json: () => { error?: { code?: string | null } } }) => ({
  ...{ method, path, status: answer.statusCode },
  code: answer.json().error?.code ?? null,
});

test('a foreign id is a 404 on every route, the same as an id that never was', async () => {
  const nothing = Object.fromEntries(Object.keys(owned).map((kind) => [kind, 'nothing']));
  const stranger = api.headers('other');
  for (const route of withIds()) {
    const foreign = told(route, await call(route, stranger));
    expect(foreign).toMatchObject({ method: route.method, path: route.path, status: 404 });
    expect(told(route, await call(route, stranger, urlOf(route.path, nothing)))).toEqual(foreign);
    // In a project of its own, another project's key.
    if (!route.path.includes('/projects/{id}/')) continue;
    const own = told(route, await call(route, stranger, urlOf(route.path, { ...owned, projects: 'current' })));
    if (route.path.includes('{key}')) expect(own).toMatchObject({ path: route.path, status: 404, code: 'api_key_not_found' });
  }
  // Two prefixes, and at least as many as there were when this was written.
  expect(withIds().length).toBeGreaterThanOrEqual(70);
  // Nothing was changed by the stranger, and the owner still reads all of it.
  const kinds: Readonly<Record<string, string>> = {
    files: '/files',
    jobs: '/jobs',
    models: '/models',
    webhook_endpoints: '/webhook_endpoints',
  };
  for (const [kind, path] of Object.entries(kinds)) expect((await api.inject('GET', `${path}/${owned[kind]}`)).statusCode).toBe(200);
  expect((await api.inject('GET', `/organization/projects/current/api_keys/${owned['api_keys']}`)).statusCode).toBe(200);
  expect((await api.inject('GET', '/organization/projects/current')).json()).toMatchObject({
    name: 'default',
    quotas: { queued_jobs: null },
  });
});

test('no key, a wrong, an expired and a revoked one are a 401 on every route that is not public', async () => {
  const revoked = await newKey({ scopes: ['organization'] });
  const expired = await newKey({ scopes: ['organization'] });
  const keys = '/organization/projects/current/api_keys';
  // Both work until then.
  for (const { value } of [revoked, expired]) expect((await api.app.inject({ url: '/jobs', headers: bearer(value) })).statusCode).toBe(200);
  expect((await api.inject('DELETE', `${keys}/${revoked.id}`)).json()).toEqual({
    ...{ object: 'organization.project.api_key.deleted', id: revoked.id, deleted: true },
  });
  await post(`${keys}/${expired.id}/rotate`, { overlap_seconds: 0 });
  const bad = { none: {}, wrong: bearer('rsk_wrong'), revoked: bearer(revoked.value), expired: bearer(expired.value) };
  for (const route of routes.filter(({ scope }) => scope !== null)) {
    for (const [name, headers] of Object.entries(bad)) {
      const code = name === 'none' ? null : 'invalid_api_key';
      expect({ name, ...told(route, await call(route, headers)) }).toEqual({
        name,
        method: route.method,
        path: route.path,
        status: 401,
        code,
      });
    }
  }
  expect(routes.filter(({ scope }) => scope === null).map(({ path }) => path)).toEqual(['/healthz', '/readyz', '/openapi.json']);
});

test('a key without the scope is a 403 on every route, and what it has lets it in', async () => {
  const holders = await Promise.all(scopes.map(async (scope) => ({ scope, headers: bearer((await newKey({ scopes: [scope] })).value) })));
  for (const route of routes) {
    const { scope } = route;
    if (scope === null) continue;
    for (const { headers } of holders.filter((holder) => !covers([holder.scope], scope))) {
      const answer = await call(route, headers);
      expect(told(route, answer)).toEqual({ method: route.method, path: route.path, status: 403, code: 'missing_scope' });
      expect(answer.json().error).toEqual({
        message: expect.stringContaining(scope),
        type: 'invalid_request_error',
        param: null,
        code: 'missing_scope',
      });
    }
    if (route.method !== 'GET' || route.path.endsWith('/events')) continue;
    // No adapter is stored whole in this test: what matters is that the key is not what stops it.
    for (const { headers } of holders.filter((holder) => covers([holder.scope], scope)))
      expect([401, 403]).not.toContain((await call(route, headers)).statusCode);
  }
}, 120_000);

test("lists hold only the project's own", async () => {
  for (const url of ['/files', '/jobs', '/webhook_endpoints', '/organization/projects/current/api_keys']) {
    const list = await api.app.inject({ method: 'GET', url, headers: api.headers('other') });
    const ids = list.json<{ data: { id: string }[] }>().data.map(({ id }) => id);
    expect(Object.values(owned).filter((id) => ids.includes(id))).toEqual([]);
  }
  const models = await api.app.inject({ method: 'GET', url: '/models', headers: api.headers('other') });
  expect(models.json().data.map((m: { owned_by: string }) => m.owned_by)).toEqual(['rowsmith']);
  const projects = await api.app.inject({ method: 'GET', url: '/organization/projects', headers: api.headers('other') });
  expect(projects.json().data.map((p: { name: string }) => p.name)).toEqual(['stranger']);
});

test('a job cannot be made with a foreign file', async () => {
  const file = await api.uploadExamples();
  const refused = await api.app.inject({
    method: 'POST',
    url: '/jobs',
    headers: api.headers('other'),
    payload: { model: api.modelId, training_file: file.id },
  });
  expect(refused.statusCode).toBe(400);
  expect(refused.json().error).toMatchObject({ param: 'training_file', code: 'file_not_found' });
});
