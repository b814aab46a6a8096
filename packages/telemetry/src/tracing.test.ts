import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, expect, test } from 'vitest';
import { currentTraceparent, inSpan, openSpan, startTracing, tracingWanted } from './tracing.js';

interface Received {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly status: { readonly code?: number; readonly message?: string };
}
const received: Received[] = [];
const collector = createServer((request, response) => {
  let body = '';
  request.on('data', (part: Buffer) => {
    body += part.toString();
  });
  request.on('end', () => {
    const { resourceSpans } = JSON.parse(body) as { resourceSpans: { scopeSpans: { spans: Received[] }[] }[] };
    received.push(...resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)));
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  });
});
afterAll(() => collector.close());

test('off unless a collector is named', async () => {
  expect(tracingWanted({})).toBe(false);
  expect(tracingWanted({ OTEL_EXPORTER_OTLP_ENDPOINT: '' })).toBe(false);
  expect(tracingWanted({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c', OTEL_SDK_DISABLED: 'true' })).toBe(false);
  expect(tracingWanted({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c', OTEL_TRACES_EXPORTER: 'none' })).toBe(false);
  expect(tracingWanted({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://c' })).toBe(true);
  await (await startTracing('test', {}))();
  expect(await inSpan('nothing', {}, async () => currentTraceparent())).toBeNull();
});

test('spans hang under the traceparent that came along, or under the active span, and reach the collector', async () => {
  await new Promise<void>((listening) => collector.listen(0, '127.0.0.1', listening));
  process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
  const end = await startTracing('test', process.env);
  const from = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  let inner: string | null = null;
  await inSpan('outer', { parent: from, role: 'consumer' }, async () => {
    await inSpan('inner', {}, async () => {
      inner = currentTraceparent();
    });
  });
  await expect(
    inSpan('broken', { parent: '00-zz' }, async () => {
      throw new Error('postgres://u:s3cret@h refused');
    }),
  ).rejects.toThrow('refused');
  const request = openSpan('request', { role: 'server', parent: inner });
  await request.within(async () => {
    await Promise.resolve();
    expect(currentTraceparent()).toMatch(/^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$/);
  });
  request.end();
  await end();

  const span = (name: string) => received.find((one) => one.name === name);
  expect(span('outer')).toMatchObject({ traceId: '0af7651916cd43dd8448eb211c80319c', parentSpanId: 'b7ad6b7169203331', kind: 5 });
  expect(span('inner')).toMatchObject({ traceId: '0af7651916cd43dd8448eb211c80319c', parentSpanId: span('outer')?.spanId });
  expect(inner).toBe(`00-${span('inner')?.traceId}-${span('inner')?.spanId}-01`);
  expect(span('request')).toMatchObject({ parentSpanId: span('inner')?.spanId, kind: 2 });
  expect(span('broken')?.traceId).not.toBe('0af7651916cd43dd8448eb211c80319c');
  expect(span('broken')?.status).toMatchObject({ code: 2, message: 'postgres://u:***@h refused' });
});
