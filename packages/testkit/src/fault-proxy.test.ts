import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type FaultProxy, startFaultProxy } from './fault-proxy.js';

let echo: Server;
let proxy: FaultProxy;
const clients: Socket[] = [];

beforeEach(async () => {
  echo = createServer((socket) => socket.on('error', () => undefined).pipe(socket)).listen(0, '127.0.0.1');
  await once(echo, 'listening');
  const address = echo.address();
  proxy = await startFaultProxy(typeof address === 'object' && address ? address.port : 0);
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await proxy.stop();
  await new Promise((closed) => echo.close(closed));
});

async function open(): Promise<Socket> {
  const client = connect(proxy.port, '127.0.0.1').on('error', () => undefined);
  clients.push(client);
  await once(client, 'connect');
  return client;
}
async function say(client: Socket, text: string): Promise<string> {
  client.write(text);
  const [answer] = await once(client, 'data');
  return String(answer);
}

test('what goes in comes out, whole and in order, also under a delay that changes', async () => {
  const client = await open();
  const sent = Buffer.alloc(1 << 20, 'abcdefghijklmnopqrstuvwxyz0123456789');
  const got: Buffer[] = [];
  const all = new Promise<void>((whole) => {
    let bytes = 0;
    client.on('data', (chunk: Buffer) => {
      got.push(chunk);
      bytes += chunk.byteLength;
      if (bytes === sent.byteLength) whole();
    });
  });
  proxy.delay(5);
  client.write(sent.subarray(0, 300_000));
  proxy.delay(1);
  client.write(sent.subarray(300_000, 600_000));
  proxy.delay(0);
  client.write(sent.subarray(600_000));
  await all;
  expect(Buffer.concat(got).equals(sent)).toBe(true);
});

test('a slow line takes its latency once and its time for every byte, and loses none', async () => {
  const client = await open();
  const sent = Buffer.alloc(200_000, 'abcdefghijklmnopqrstuvwxyz0123456789');
  const got: Buffer[] = [];
  const whole = new Promise<void>((done) => {
    client.on('data', (chunk: Buffer) => {
      got.push(chunk);
      if (got.reduce((sum, { byteLength }) => sum + byteLength, 0) === sent.byteLength) done();
    });
  });
  proxy.slow({ latencyMs: 50, bytesPerSecond: 1e6 });
  const began = performance.now();
  client.write(sent);
  await whole;
  expect(Buffer.concat(got).equals(sent)).toBe(true);
  // 0.2 s for the bytes, and each way's latency.
  expect(performance.now() - began).toBeGreaterThanOrEqual(299);
});

test('a delay holds each way back', async () => {
  const client = await open();
  expect(await say(client, 'warm')).toBe('warm');
  proxy.delay(60);
  const began = performance.now();
  expect(await say(client, 'slow')).toBe('slow');
  expect(performance.now() - began).toBeGreaterThan(115);
});

test('silence: connections are taken, nothing passes; afterwards everything does', async () => {
  proxy.silence(true);
  const client = await open();
  let heard = '';
  client.on('data', (chunk: Buffer) => {
    heard += chunk;
  });
  client.write('held');
  // Another connection beside the proxy has made the round trip several times before anything of the silent one is looked at.
  const address = echo.address();
  const beside = connect(typeof address === 'object' && address ? address.port : 0, '127.0.0.1');
  clients.push(beside);
  for (const word of ['a', 'b', 'c']) expect(await say(beside, word)).toBe(word);
  expect(heard).toBe('');
  proxy.silence(false);
  while (heard !== 'held') await once(client, 'data');
});

test('cutAll ends what is open and counts it; a new connection works', async () => {
  const [first, second] = [await open(), await open()];
  expect(await say(first, 'x')).toBe('x');
  expect(await say(second, 'y')).toBe('y');
  const closed = Promise.all([once(first, 'close'), once(second, 'close')]);
  expect(proxy.cutAll()).toBe(2);
  await closed;
  expect(await say(await open(), 'again')).toBe('again');
});

test('refuse: new connections end without a word, open ones stay', async () => {
  const old = await open();
  expect(await say(old, 'x')).toBe('x');
  proxy.refuse(true);
  const fresh = connect(proxy.port, '127.0.0.1').on('error', () => undefined);
  clients.push(fresh);
  let heard = 0;
  fresh.on('data', () => {
    heard += 1;
  });
  fresh.write('anybody?');
  await once(fresh, 'close');
  expect(heard).toBe(0);
  expect(await say(old, 'still')).toBe('still');
  proxy.refuse(false);
  expect(await say(await open(), 'back')).toBe('back');
});

test('an answer is cut after so many bytes, once', async () => {
  const client = await open();
  proxy.cutNextAnswerAfter(3);
  let heard = '';
  client.on('data', (chunk: Buffer) => {
    heard += chunk;
  });
  client.write('abcdef');
  await once(client, 'close');
  expect(heard).toBe('abc');
  expect(proxy.cuts).toBe(1);
  expect(await say(await open(), 'whole')).toBe('whole');
});
