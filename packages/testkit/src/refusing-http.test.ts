import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type RefusingHttp, startRefusingHttp } from './refusing-http.js';

let store: Server;
let proxy: RefusingHttp;

/** Says what it heard. */
beforeEach(async () => {
  store = createServer(async (incoming, answer) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    answer.writeHead(incoming.method === 'PUT' ? 201 : 200, { 'x-host': incoming.headers.host ?? '', 'x-method': incoming.method ?? '' });
    answer.end(Buffer.concat(chunks));
  }).listen(0, '127.0.0.1');
  await once(store, 'listening');
  const address = store.address();
  proxy = await startRefusingHttp(typeof address === 'object' && address ? address.port : 0);
});
afterEach(async () => {
  await proxy.stop();
  store.closeAllConnections();
  await new Promise((closed) => store.close(closed));
});

const ask = (init: RequestInit = {}) => fetch(`http://127.0.0.1:${proxy.port}/bucket/key?x=1`, init);

test('passes requests and answers on as they are, the Host header too', async () => {
  const sent = 'x'.repeat(300_000);
  const answer = await ask({ method: 'PUT', body: sent });
  expect([answer.status, answer.headers.get('x-host'), answer.headers.get('x-method')]).toEqual([201, `127.0.0.1:${proxy.port}`, 'PUT']);
  expect(await answer.text()).toBe(sent);
});

test('refuses as the numbers say, with an answer that the SDK reads as SlowDown', async () => {
  const numbers = [0.1, 0.5, 0.29, 0.3];
  let next = 0;
  proxy.refuse(0.3, () => numbers[next++ % numbers.length] as number);
  const statuses: number[] = [];
  for (let i = 0; i < 4; i++) {
    const answer = await ask({ method: 'PUT', body: 'abc' });
    const text = await answer.text();
    if (answer.status === 503) expect(text).toContain('<Code>SlowDown</Code>');
    statuses.push(answer.status);
  }
  expect(statuses).toEqual([503, 201, 503, 201]);
  expect(proxy.refused).toBe(2);
  proxy.refuse(0, () => 0);
  expect((await ask()).status).toBe(200);
});

test('a store that is gone is a cut connection, not an answer', async () => {
  store.closeAllConnections();
  await new Promise((closed) => store.close(closed));
  await expect(ask()).rejects.toThrow();
  store = createServer().listen(0, '127.0.0.1');
  await once(store, 'listening');
});

test('loses every second answer, after the server has done it', async () => {
  let done = 0;
  store.on('request', () => {
    done += 1;
  });
  proxy.loseEvery(2);
  const outcomes: unknown[] = [];
  for (let i = 0; i < 4; i++)
    outcomes.push(
      await ask({ method: 'PUT', body: 'abc' }).then(
        ({ status }) => status,
        () => 'lost',
      ),
    );
  expect([outcomes, done, proxy.lost]).toEqual([[201, 'lost', 201, 'lost'], 4, 2]);
});
