/** Projects, keys, quotas, limits and the audit log, over HTTP. */
import { createRowsmithClient } from '@rowsmith/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { examplesJsonl, formOf, openTestApi, type TestApi } from '../testing/test-api.js';

interface Project {
  readonly id: string;
}
interface Key {
  readonly id: string;
  readonly value: string;
}
type Headers = Readonly<Record<string, string>>;

let api: TestApi;
beforeAll(async () => {
  api = await openTestApi({ listen: true, requestsPerMinute: 10_000 });
});
afterAll(() => api.close());

const bearer = (value: string) => ({ authorization: `Bearer ${value}` });
const send = (method: 'GET' | 'POST' | 'DELETE', url: string, payload?: object, headers: Headers = api.headers()) =>
  api.app.inject({ method, url: `/v1/organization${url}`, headers, ...(payload === undefined ? {} : { payload }) });
async function made<T>(url: string, payload: object, headers?: Headers): Promise<T> {
  const answer = await send('POST', url, payload, headers);
  if (answer.statusCode !== 200) throw new Error(answer.payload);
  return answer.json<T>();
}
const project = (name: string, quotas?: object) => made<Project>('/projects', { name, ...(quotas ? { quotas } : {}) });
const key = (of: Project, scopes: string[], more: object = {}) => made<Key>(`/projects/${of.id}/api_keys`, { name: 'k', scopes, ...more });
const upload = (headers: Headers, rows = 8) => {
  const form = formOf([
    { name: 'file', filename: 'rows.jsonl', content: examplesJsonl(rows) },
    { name: 'purpose', content: 'fine-tune' },
  ]);
  return api.app.inject({ method: 'POST', url: '/files', headers: { ...headers, ...form.headers }, payload: form.body });
};
const createJob = (headers: Headers, file: string, more: object = {}) =>
  api.app.inject({ method: 'POST', url: '/jobs', headers, payload: { model: api.modelId, training_file: file, ...more } });

test('a project is made, found, renamed and archived; its name is its own', async () => {
  const one = await project('research');
  const quotas = { running_jobs: null, queued_jobs: null, storage_bytes: null, device_seconds_per_month: null, requests_per_minute: null };
  const shape = { object: 'organization.project', id: one.id, name: 'research', archived_at: null, status: 'active', quotas };
  expect((await send('GET', `/projects/${one.id}`)).json()).toEqual({ ...shape, created_at: expect.any(Number) });
  expect((await send('POST', '/projects', { name: 'research' })).json().error).toMatchObject({ code: 'name_taken', param: 'name' });
  expect((await send('POST', `/projects/${one.id}`, { name: 'lab', quotas: { queued_jobs: 3 } })).json()).toMatchObject({
    ...{ name: 'lab', quotas: { ...quotas, queued_jobs: 3 } },
  });
  // Only what is named changes.
  expect((await send('POST', `/projects/${one.id}`, { quotas: { storage_bytes: 9 } })).json().quotas).toEqual({
    ...quotas,
    queued_jobs: 3,
    storage_bytes: 9,
  });
  expect((await send('POST', '/projects/current', { name: 'x' })).json().error).toMatchObject({ param: 'name' });
  const { value } = await key(one, ['read']);
  const names = async (query = '') =>
    (await send('GET', `/projects${query}`)).json<{ data: { name: string }[] }>().data.map(({ name }) => name);
  expect(await names()).toEqual(['lab', 'stranger', 'default']);
  expect((await send('POST', `/projects/${one.id}/archive`)).json()).toMatchObject({ status: 'archived', archived_at: expect.any(Number) });
  expect(await names()).toEqual(['stranger', 'default']);
  expect(await names('?include_archived=true&limit=1')).toEqual(['lab']);
  expect((await api.app.inject({ url: '/jobs', headers: bearer(value) })).statusCode).toBe(401);
  expect((await send('POST', `/projects/${one.id}/api_keys`, { name: 'k' })).json().error.code).toBe('project_archived');
  expect((await send('POST', '/projects/current/archive')).json().error.code).toBe('default_project');
});

test('a key is shown once, ends when it says, and is replaced with an overlap', async () => {
  const team = await project('team');
  const end = Math.floor(Date.now() / 1000) + 3600;
  const first = await key(team, ['files:write', 'jobs:read'], { expires_at: end });
  expect(first.value).toMatch(/^rsk_[0-9A-Za-z]{40}$/);
  const shown = (await send('GET', `/projects/${team.id}/api_keys/${first.id}`)).json();
  expect(shown).toEqual({
    ...{ object: 'organization.project.api_key', id: first.id, project_id: team.id, name: 'k', scopes: ['files:write', 'jobs:read'] },
    ...{ redacted_value: `rsk_...${first.value.slice(-4)}`, expires_at: end, last_used_at: null, created_at: expect.any(Number) },
  });
  expect((await api.app.inject({ url: '/files', headers: bearer(first.value) })).statusCode).toBe(200);
  expect((await send('GET', `/projects/${team.id}/api_keys`)).json().data[0]).toMatchObject({
    id: first.id,
    last_used_at: expect.any(Number),
  });
  const past = await send('POST', `/projects/${team.id}/api_keys`, { name: 'k', expires_at: 1 });
  expect(past.json().error).toMatchObject({ param: 'expires_at', code: 'invalid_value' });
  const rotate = `/projects/${team.id}/api_keys/${first.id}/rotate`;
  const second = await made<Key>(rotate, { overlap_seconds: 600 });
  for (const { value } of [first, second]) expect((await api.app.inject({ url: '/files', headers: bearer(value) })).statusCode).toBe(200);
  await made<Key>(rotate, { overlap_seconds: 0 });
  expect((await api.app.inject({ url: '/files', headers: bearer(first.value) })).statusCode).toBe(401);
  expect((await send('POST', rotate)).json().error.code).toBe('api_key_expired');
});

test('nobody gives away more than they have, and a project cannot raise its own quotas', async () => {
  const team = await project('limits');
  const admin = bearer((await key(team, ['admin'])).value);
  const owner = await key(team, ['organization']);
  const keys = `/projects/${team.id}/api_keys`;
  expect((await send('POST', keys, { name: 'k', scopes: ['organization'] }, admin)).json().error).toMatchObject({ code: 'missing_scope' });
  expect((await send('POST', `${keys}/${owner.id}/rotate`, {}, admin)).statusCode).toBe(403);
  expect((await send('DELETE', `${keys}/${owner.id}`, undefined, admin)).statusCode).toBe(403);
  expect((await send('POST', '/projects/current', { quotas: { queued_jobs: null } }, admin)).statusCode).toBe(403);
  expect((await send('POST', '/projects/current/archive', undefined, admin)).statusCode).toBe(403);
  expect((await send('POST', '/projects', { name: 'more' }, admin)).statusCode).toBe(403);
  expect((await send('POST', '/projects/current', { name: 'renamed' }, admin)).json().name).toBe('renamed');
  const minted = await made<Key>('/projects/current/api_keys', { name: 'k', scopes: ['write'] }, admin);
  expect((await send('GET', '/projects/current/usage', undefined, bearer(minted.value))).json().project_id).toBe(team.id);
});

test('a quota that is used up is a 429 that no SDK retries', async () => {
  const team = await project('quotas', { queued_jobs: 1, storage_bytes: 100_000 });
  const headers = bearer((await key(team, ['write'])).value);
  const file = (await upload(headers)).json<{ id: string; bytes: number }>();
  const job = await createJob(headers, file.id);
  expect(job.statusCode).toBe(200);
  const refused = await createJob(headers, file.id);
  expect(refused.statusCode).toBe(429);
  expect(refused.json().error).toEqual({
    ...{ type: 'insufficient_quota', code: 'quota_exceeded', param: 'queued_jobs' },
    message: "You exceeded your project's quota: it may have 1 queued jobs, and 1 are used.",
  });
  expect(refused.headers['x-should-retry']).toBe('false');
  const paused = (await createJob(headers, file.id, { auto_start: false })).json<{ id: string }>();
  const start = () => api.app.inject({ method: 'POST', url: `/jobs/${paused.id}/start`, headers });
  expect((await start()).statusCode).toBe(429);
  const usage = async () => (await send('GET', `/projects/${team.id}/usage`)).json();
  expect(await usage()).toMatchObject({
    ...{ object: 'organization.project.usage', project_id: team.id, running_jobs: { used: 0, limit: null } },
    ...{ queued_jobs: { used: 1, limit: 1 }, storage_bytes: { used: file.bytes, limit: 100_000 } },
    device_seconds_per_month: { used: 0, limit: null },
  });
  await api.app.inject({ method: 'POST', url: `/jobs/${job.json<{ id: string }>().id}/cancel`, headers });
  expect((await start()).statusCode).toBe(200);
  // A file that does not fit leaves nothing behind.
  await send('POST', `/projects/${team.id}`, { quotas: { storage_bytes: file.bytes + 1 } });
  const before = await api.storedPaths();
  expect((await upload(headers)).json().error).toMatchObject({ code: 'quota_exceeded', param: 'storage_bytes' });
  expect((await api.storedPaths()).sort()).toEqual(before.sort());
});

test('headers tell what is left of the tighter limit; the keys of a project share its own', async () => {
  const team = await project('busy', { requests_per_minute: 3 });
  const [one, two] = [bearer((await key(team, ['read'])).value), bearer((await key(team, ['read'])).value)];
  const ask = (headers: Headers) => api.app.inject({ url: '/jobs', headers });
  const left = ({ headers }: Awaited<ReturnType<typeof ask>>) => [
    headers['x-ratelimit-limit-requests'],
    headers['x-ratelimit-remaining-requests'],
  ];
  const first = await ask(one);
  expect(left(first)).toEqual(['3', '2']);
  expect(first.headers['x-ratelimit-reset-requests']).toMatch(/^(1m0s|\d{1,2}s)$/);
  expect(left(await ask(two))).toEqual(['3', '1']);
  expect(left(await ask(one))).toEqual(['3', '0']);
  const over = await ask(two);
  expect(over.statusCode).toBe(429);
  expect(over.json().error).toMatchObject({ type: 'rate_limit_error', code: 'rate_limit_exceeded' });
  expect(over.headers).toMatchObject({ 'retry-after': expect.any(String), 'x-ratelimit-remaining-requests': '0' });
  // Others are not held back.
  const others = await ask(api.headers());
  expect([others.statusCode, others.headers['x-ratelimit-limit-requests']]).toEqual([200, '10000']);
});

test('the audit log tells who did what, refusals too, and no secrets', async () => {
  const team = await project('audited');
  const admin = await key(team, ['admin']);
  const reader = await key(team, ['read']);
  const headers = bearer(admin.value);
  const file = (await upload({ ...headers, 'x-request-id': 'upload-1' })).json<{ id: string }>();
  const job = (await createJob(headers, file.id)).json<{ id: string }>();
  await api.app.inject({ method: 'POST', url: `/v1/fine_tuning/jobs/${job.id}/cancel`, headers: bearer(reader.value) });
  await api.app.inject({ method: 'POST', url: `/v1/fine_tuning/jobs/${job.id}/cancel`, headers });
  await api.app.inject({ method: 'POST', url: '/jobs', headers, payload: { model: 'none', training_file: file.id } });
  await api.app.inject({ url: '/jobs', headers });
  const logs = (query: string, as: Headers = headers) => send('GET', `/audit_logs?${query}`, undefined, as);
  const all = await logs('');
  const { data } = all.json<{ data: { type: string; resource_id: string; status: number; actor: { api_key: { id: string } } }[] }>();
  const rows = data.map(({ type, resource_id, status, actor }) => [
    type,
    resource_id,
    status,
    actor.api_key.id === admin.id ? 'admin' : actor.api_key.id === reader.id ? 'reader' : 'root',
  ]);
  expect(rows).toEqual([
    ['job.cancelled', job.id, 200, 'admin'],
    ['job.cancelled', job.id, 403, 'reader'],
    ['job.created', job.id, 200, 'admin'],
    ['file.created', file.id, 200, 'admin'],
    // Done by the organisation's key, in this project.
    ['api_key.created', reader.id, 200, 'root'],
    ['api_key.created', admin.id, 200, 'root'],
    ['project.created', team.id, 200, 'root'],
  ]);
  for (const secret of [admin.value, reader.value, api.key]) expect(all.payload).not.toContain(secret);
  expect((await logs(`event_types[]=file.created`)).json().data).toEqual([
    {
      ...{
        object: 'organization.audit_log',
        id: expect.stringMatching(/^audit_log-/),
        type: 'file.created',
        effective_at: expect.any(Number),
      },
      ...{ project: { id: team.id, name: 'audited' }, resource_id: file.id, status: 200, request_id: 'upload-1' },
      actor: { type: 'api_key', api_key: { id: admin.id, name: 'k' }, ip_address: '127.0.0.1' },
    },
  ]);
  const count = async (query: string, as?: Headers) => (await logs(query, as)).json<{ data: unknown[] }>().data.length;
  expect(await count(`event_types[]=file.created&event_types[]=job.created`)).toBe(2);
  expect(await count(`actor_ids[]=${reader.id}`)).toBe(1);
  expect(await count(`resource_ids[]=${job.id}`)).toBe(3);
  expect(await count(`project_ids[]=${team.id}`, api.headers())).toBe(7);
  // Another project's admin sees none of it.
  expect(await count('', api.headers('other'))).toBe(0);
  expect(await count(`project_ids[]=${team.id}`, api.headers('other'))).toBe(0);
  const now = Math.floor(Date.now() / 1000);
  expect(await count(`effective_at[gte]=${now - 3600}&effective_at[lt]=${now + 3600}`)).toBe(7);
  expect(await count(`effective_at[gt]=${now + 3600}`)).toBe(0);
  expect((await logs('event_types[]=nonsense')).statusCode).toBe(400);
  expect((await logs('after=audit_log-none')).json().error).toMatchObject({ param: 'after' });
});

test('the client has a method for each of it', async () => {
  const client = createRowsmithClient({ baseUrl: api.url, apiKey: api.key });
  const { id } = await client.createProject('by client', { queued_jobs: 0 });
  expect((await client.updateProject(id, { name: 'by the client', quotas: { running_jobs: 2 } })).quotas).toMatchObject({
    ...{ queued_jobs: 0, running_jobs: 2 },
  });
  const made = await client.createApiKey(id, 'one', { scopes: ['write'], expiresAt: Math.floor(Date.now() / 1000) + 600 });
  const next = await client.rotateApiKey(id, made.id, { overlapSeconds: 60 });
  expect((await client.listApiKeys(id)).data.map((k) => k.id)).toEqual([next.id, made.id]);
  const member = createRowsmithClient({ baseUrl: api.url, apiKey: next.value ?? '' });
  const file = await member.uploadFile(new Blob([examplesJsonl(8)]));
  const refusal = await member.createJob({ model: api.modelId, training_file: file.id }).catch((error: unknown) => error);
  expect(refusal).toMatchObject({ kind: 'quota', code: 'quota_exceeded', param: 'queued_jobs', retryable: false });
  expect(await member.projectUsage('current')).toMatchObject({ project_id: id, storage_bytes: { used: file.bytes } });
  await client.revokeApiKey(id, made.id);
  await expect(client.getApiKey(id, made.id)).rejects.toMatchObject({ kind: 'not_found', code: 'api_key_not_found' });
  await expect(member.getProject(id)).rejects.toMatchObject({ kind: 'permission', code: 'missing_scope' });
  expect(
    (await client.listAuditLogs({ projectIds: [id], actions: ['api_key.rotated', 'api_key.deleted'] })).data.map((e) => e.resource_id),
  ).toEqual([...[made.id, next.id]]);
  expect((await client.archiveProject(id)).status).toBe('archived');
  expect((await client.getProject(id)).archived_at).not.toBeNull();
  expect((await client.listProjects({ includeArchived: true, limit: 1 })).data[0]?.id).toBe(id);
});
