export { hashApiKey } from './http/auth.js';
export { openApiDocument } from './http/openapi.js';
export { buildServer, type ServerDeps, type ServerOptions } from './server.js';
