/** An OTLP/HTTP receiver that keeps the spans it gets. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ReceivedSpan {
  readonly service: string;
  readonly pid: number;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
}
interface Body {
  readonly resourceSpans: readonly {
    readonly resource: {
      readonly attributes: readonly { readonly key: string; readonly value: { stringValue?: string; intValue?: number } }[];
    };
    readonly scopeSpans: readonly { readonly spans: readonly Omit<ReceivedSpan, 'service' | 'pid'>[] }[];
  }[];
}

export async function startCollector() {
  const spans: ReceivedSpan[] = [];
  const raw: string[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const text = Buffer.concat(parts).toString();
      raw.push(text);
      for (const { resource, scopeSpans } of (JSON.parse(text) as Body).resourceSpans) {
        const of = (key: string) => resource.attributes.find((one) => one.key === key)?.value;
        const service = of('service.name')?.stringValue ?? '';
        const pid = Number(of('process.pid')?.intValue);
        for (const scope of scopeSpans)
          for (const { traceId, spanId, parentSpanId = '', name } of scope.spans)
            spans.push({ service, pid, traceId, spanId, parentSpanId, name });
      }
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    /** Everything that was sent, as it was sent. */
    raw: () => raw.join('\n'),
    close: () => new Promise((closed) => server.close(closed)),
  };
}
