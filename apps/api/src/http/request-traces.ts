/** A span for every request that needs a key; the caller's `traceparent` goes on in it. */
import { type OpenSpan, openSpan } from '@rowsmith/telemetry';
import type { FastifyInstance, FastifyRequest } from 'fastify';

/** Before other hooks, so that what they do is inside. Without a collector it costs a look into a map. */
export function traceRequests(app: FastifyInstance): void {
  const spans = new WeakMap<FastifyRequest, OpenSpan>();
  app.addHook('onRequest', (request, _reply, done) => {
    const { url: route, config } = request.routeOptions;
    if (config.public || route === undefined) return done();
    const parent = request.headers['traceparent'];
    const span = openSpan(`${request.method} ${route}`, {
      ...{ role: 'server', parent: typeof parent === 'string' ? parent : null },
      attributes: { 'http.request.method': request.method, 'http.route': route },
    });
    spans.set(request, span);
    span.within(done);
  });
  // Reading a body ends the chain of calls that began above.
  app.addHook('preHandler', (request, _reply, done) => {
    const span = spans.get(request);
    if (span === undefined) done();
    else span.within(done);
  });
  app.addHook('onResponse', (request, reply, done) => {
    const span = spans.get(request);
    span?.note({ 'http.response.status_code': reply.statusCode });
    span?.end(reply.statusCode >= 500 ? `answered ${reply.statusCode}` : undefined);
    done();
  });
}
