import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { WebhookDeliveryObject, WebhookEndpointObject } from '@rowsmith/contracts';
import { openDatabase } from '@rowsmith/db';
import OpenAI from 'openai';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTestApi, type TestApi } from '../testing/test-api.js';

let api: TestApi;
beforeAll(async () => {
  api = await openTestApi({ privateWebhooks: true });
});
afterAll(() => api.close());

interface Message {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A customer's server; `next` resolves with each message in turn. */
async function receiver(statusOf: (n: number) => number = () => 200) {
  const got: Message[] = [];
  const waiting: ((message: Message) => void)[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const message = { headers: request.headers, body: Buffer.concat(parts).toString() };
      response.writeHead(statusOf(got.length)).end();
      got.push(message);
      waiting.shift()?.(message);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  let taken = 0;
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    next: () => {
      const there = got[taken++];
      return there ? Promise.resolve(there) : new Promise<Message>((resolve) => waiting.push(resolve));
    },
    close: () => new Promise((resolve) => server.close(resolve).closeAllConnections()),
  };
}

const post = (url: string, payload: object = {}, caller: 'main' | 'other' = 'main') =>
  api.app.inject({ method: 'POST', url, headers: api.headers(caller), payload });
const endpointFor = async (url: string, body: object = {}) =>
  (await post('/v1/webhook_endpoints', { url, ...body })).json<WebhookEndpointObject & { secret: string }>();
const deliveriesOf = async (id: string) =>
  (await api.inject('GET', `/v1/webhook_endpoints/${id}/deliveries`)).json<{ data: WebhookDeliveryObject[] }>().data;

/** The log is written after the receiver has answered. */
async function settled(endpointId: string, attempts: number): Promise<WebhookDeliveryObject> {
  for (;;) {
    const [delivery] = await deliveriesOf(endpointId);
    if (delivery && delivery.attempts.length >= attempts) return delivery;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

async function finishedJob(): Promise<string> {
  const file = await api.uploadExamples();
  const job = await api.createJob(file.id);
  await api.succeed(job.id, 3);
  return job.id;
}

test('a finished job is told of in a message that the openai SDK unwraps', async () => {
  const customer = await receiver();
  const endpoint = await endpointFor(customer.url);
  expect(endpoint).toMatchObject({ object: 'webhook_endpoint', enabled: true, url: customer.url });
  const id = await finishedJob();
  const message = await customer.next();
  const client = new OpenAI({ apiKey: 'unused' });
  const event = await client.webhooks.unwrap(message.body, message.headers as Record<string, string>, endpoint.secret);
  expect(event).toMatchObject({ object: 'event', type: 'fine_tuning.job.succeeded', data: { id } });
  expect(await settled(endpoint.id, 1)).toMatchObject({ status: 'delivered', type: 'fine_tuning.job.succeeded', next_attempt_at: null });
  await expect(client.webhooks.unwrap(`${message.body} `, message.headers as Record<string, string>, endpoint.secret)).rejects.toThrow();
  await api.inject('DELETE', `/v1/webhook_endpoints/${endpoint.id}`);
  await customer.close();
});

test('a failed delivery waits for its next attempt; a replay sends the same message again', async () => {
  const customer = await receiver((n) => (n === 0 ? 500 : 200));
  const endpoint = await endpointFor(customer.url, { events: ['fine_tuning.job.succeeded'] });
  await finishedJob();
  const first = await customer.next();
  const failed = await settled(endpoint.id, 1);
  expect(failed).toMatchObject({ status: 'pending', attempts: [{ status: 500, error: 'HTTP 500' }] });
  expect(failed.next_attempt_at).toBeGreaterThanOrEqual(failed.attempts[0]?.at ?? Number.POSITIVE_INFINITY);
  const replayed = await post(`/v1/webhook_deliveries/${failed.id}/replay`);
  expect(replayed.statusCode).toBe(200);
  const second = await customer.next();
  expect(second.body).toBe(first.body);
  expect(second.headers['webhook-id']).toBe(first.headers['webhook-id']);
  expect(await settled(endpoint.id, 2)).toMatchObject({ status: 'delivered' });
  await api.inject('DELETE', `/v1/webhook_endpoints/${endpoint.id}`);
  await customer.close();
});

test('both secrets sign while one is rotated out, and neither is stored readably', async () => {
  const customer = await receiver();
  const endpoint = await endpointFor(customer.url);
  const rotated = (await post(`/v1/webhook_endpoints/${endpoint.id}/rotate_secret`)).json<{ secret: string }>();
  expect(rotated.secret).not.toBe(endpoint.secret);
  await post(`/v1/webhook_endpoints/${endpoint.id}/test`);
  const { body, headers } = await customer.next();
  const client = new OpenAI({ apiKey: 'unused' });
  for (const secret of [endpoint.secret, rotated.secret])
    await expect(client.webhooks.verifySignature(body, headers as Record<string, string>, secret)).resolves.toBeUndefined();
  expect(JSON.parse(body)).toMatchObject({ type: 'rowsmith.webhook.test' });
  const database = openDatabase(api.databaseUrl);
  const stored = JSON.stringify(await database.prisma.webhookEndpoint.findMany());
  await database.close();
  for (const secret of [endpoint.secret, rotated.secret]) expect(stored).not.toContain(secret.slice(6));
  const listed = (await api.inject('GET', '/v1/webhook_endpoints')).payload;
  expect(listed).not.toContain('whsec_');
  await api.inject('DELETE', `/v1/webhook_endpoints/${endpoint.id}`);
  await customer.close();
});

test('nothing is sent to a disabled endpoint, nor of events it did not ask for', async () => {
  const customer = await receiver();
  const silent = await endpointFor(customer.url);
  const picky = await endpointFor(customer.url, { events: ['fine_tuning.job.failed'] });
  await post(`/v1/webhook_endpoints/${silent.id}`, { enabled: false });
  await finishedJob();
  expect(await deliveriesOf(silent.id)).toEqual([]);
  expect(await deliveriesOf(picky.id)).toEqual([]);
  for (const { id } of [silent, picky]) await api.inject('DELETE', `/v1/webhook_endpoints/${id}`);
  await customer.close();
});

test("another project's endpoint is not there", async () => {
  const endpoint = await endpointFor('http://127.0.0.1:9/hook');
  await post(`/v1/webhook_endpoints/${endpoint.id}/test`);
  const [delivery] = await deliveriesOf(endpoint.id);
  const paths: ['GET' | 'POST' | 'DELETE', string, object?][] = [
    ['GET', `/v1/webhook_endpoints/${endpoint.id}`],
    ['POST', `/v1/webhook_endpoints/${endpoint.id}`, { enabled: false }],
    ['POST', `/v1/webhook_endpoints/${endpoint.id}/test`],
    ['POST', `/v1/webhook_endpoints/${endpoint.id}/rotate_secret`],
    ['GET', `/v1/webhook_endpoints/${endpoint.id}/deliveries`],
    ['POST', `/v1/webhook_deliveries/${delivery?.id}/replay`],
    ['DELETE', `/v1/webhook_endpoints/${endpoint.id}`],
  ];
  for (const [method, url, payload] of paths) {
    const answer = await api.app.inject({ method, url, headers: api.headers('other'), ...(payload ? { payload } : {}) });
    expect([url, answer.statusCode]).toEqual([url, 404]);
  }
  expect((await api.inject('DELETE', `/v1/webhook_endpoints/${endpoint.id}`)).json()).toEqual({
    ...{ id: endpoint.id, object: 'webhook_endpoint', deleted: true },
  });
});

test.each([
  [{ url: 'http://user:secret@example.com/' }, 'url'],
  [{ url: 'file:///etc/passwd' }, 'url'],
  [{ url: 'https://example.com/', events: ['fine_tuning.job.exploded'] }, 'events'],
  [{}, 'url'],
])('%j is refused', async (body, param) => {
  const answer = await post('/v1/webhook_endpoints', body);
  expect(answer.statusCode).toBe(400);
  expect(answer.json<{ error: { param: string } }>().error.param).toMatch(new RegExp(`^${param}`));
});
