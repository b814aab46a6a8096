import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { afterEach, expect, test } from 'vitest';
import { WebhookSender } from './deliver.js';
import { newSigningSecret } from './secret.js';

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const thing of open.splice(0)) await thing.close();
});

type Answer = (request: IncomingMessage, body: string) => { status: number; headers?: Record<string, string>; body?: string };

async function receiver(answer: Answer): Promise<{ url: string; server: Server }> {
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const { status, headers, body } = answer(request, Buffer.concat(parts).toString());
      response.writeHead(status, headers).end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.push({ close: () => new Promise((resolve) => server.close(resolve).closeAllConnections()) });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`, server };
}

function sender(allowPrivate: boolean): WebhookSender {
  const made = new WebhookSender({ allowPrivate });
  open.push(made);
  return made;
}

const body = '{"type":"fine_tuning.job.succeeded","data":{"id":"ftjob-1"}}';

test('a receiver verifies the signature with either secret, and not with another', async () => {
  const [newer, older] = [newSigningSecret(), newSigningSecret()];
  const seen: { headers: IncomingMessage['headers']; body: string }[] = [];
  const { url } = await receiver((request, text) => {
    seen.push({ headers: request.headers, body: text });
    return { status: 204 };
  });
  const outcome = await sender(true).deliver({ url, id: 'evt_1', body, secrets: [newer, older] });
  expect(outcome).toMatchObject({ delivered: true, status: 204 });
  const [got] = seen;
  const headers = got?.headers as Record<string, string>;
  expect(headers['webhook-id']).toBe('evt_1');
  for (const secret of [newer, older]) expect(new Webhook(secret).verify(got?.body ?? '', headers)).toEqual(JSON.parse(body));
  expect(() => new Webhook(newSigningSecret()).verify(got?.body ?? '', headers)).toThrow(/matching signature/);
  expect(() => new Webhook(newer).verify(`${got?.body} `, headers)).toThrow(/matching signature/);
});

test.each([
  [500, {}, true, null],
  [429, { 'retry-after': '17' }, true, 17],
  [410, {}, false, null],
])('HTTP %i is a failed delivery', async (status, headers, retry, retryAfterSeconds) => {
  const { url } = await receiver(() => ({ status, headers, body: 'nope' }));
  const outcome = await sender(true).deliver({ url, id: 'e', body, secrets: [newSigningSecret()] });
  expect(outcome).toMatchObject({ delivered: false, status, retry, retryAfterSeconds, error: `HTTP ${status}: nope` });
});

test('a redirect is not followed: its target was never checked', async () => {
  let hits = 0;
  const target = await receiver(() => ({ status: 200, body: String(++hits) }));
  const { url } = await receiver(() => ({ status: 302, headers: { location: target.url } }));
  expect(await sender(true).deliver({ url, id: 'e', body, secrets: [newSigningSecret()] })).toMatchObject({
    delivered: false,
    status: 302,
  });
  expect(hits).toBe(0);
});

test('a huge answer is cut', async () => {
  const { url } = await receiver(() => ({ status: 400, body: 'x'.repeat(1_000_000) }));
  const outcome = await sender(true).deliver({ url, id: 'e', body, secrets: [newSigningSecret()] });
  expect(outcome.delivered === false && outcome.error).toBe(`HTTP 400: ${'x'.repeat(512)}`);
});

test('nobody listens: a failure that is tried again', async () => {
  const { url, server } = await receiver(() => ({ status: 200 }));
  await new Promise((resolve) => server.close(resolve));
  expect(await sender(true).deliver({ url, id: 'e', body, secrets: [newSigningSecret()] })).toMatchObject({
    delivered: false,
    status: null,
    retry: true,
  });
});

test('a public name that resolves into the network is refused when the connection is made', async () => {
  // `localhost` passes the check of the text: it is a name. Its address is not public.
  const outcome = await sender(false).deliver({ url: 'https://localhost/hook', id: 'e', body, secrets: [newSigningSecret()] });
  expect(outcome).toMatchObject({ delivered: false, status: null, retry: false });
  expect(outcome.delivered === false && outcome.error).toMatch(/not allowed: its address .* is not public \(loopback\)/);
});
