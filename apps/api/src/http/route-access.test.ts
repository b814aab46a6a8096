import Fastify from 'fastify';
import { expect, test } from 'vitest';
import { requireDeclaredAccess } from './route-access.js';

test('a route that does not say what it needs is refused before the server starts', () => {
  const app = Fastify();
  requireDeclaredAccess(app);
  const handler = async () => null;
  expect(() => app.get('/a', handler)).toThrow('GET /a declares no scope');
  expect(() => app.post('/a', { config: { scope: 'jobs:write' } }, handler)).toThrow('POST /a writes, but has no action');
  expect(() => app.delete('/a', { config: { scope: 'admin' } }, handler)).toThrow('DELETE /a writes, but has no action');
  app.get('/b', { config: { scope: 'jobs:read' } }, handler);
  app.post('/b', { config: { scope: 'jobs:read' } }, handler);
  app.delete('/b', { config: { scope: 'jobs:write', action: 'job.cancelled' } }, handler);
  app.get('/c', { config: { public: true } }, handler);
});
