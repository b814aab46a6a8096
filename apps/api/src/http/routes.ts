import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify';

export type Api = FastifyInstance<RawServerDefault, IncomingMessage, ServerResponse, FastifyBaseLogger, TypeBoxTypeProvider>;

/** Where a group of routes hangs. Each group is added twice: under OpenAI's paths and under the short ones. */
export interface Prefixes {
  readonly files: string;
  readonly uploads: string;
  readonly jobs: string;
  readonly models: string;
  readonly fleet: string;
  readonly webhookEndpoints: string;
  readonly webhookDeliveries: string;
  readonly organization: string;
}
export const openAiPaths: Prefixes = {
  files: '/v1/files',
  uploads: '/v1/uploads',
  jobs: '/v1/fine_tuning/jobs',
  models: '/v1/models',
  fleet: '/v1/fleet',
  webhookEndpoints: '/v1/webhook_endpoints',
  webhookDeliveries: '/v1/webhook_deliveries',
  organization: '/v1/organization',
};
export const shortPaths: Prefixes = {
  files: '/files',
  uploads: '/uploads',
  jobs: '/jobs',
  models: '/models',
  fleet: '/fleet',
  webhookEndpoints: '/webhook_endpoints',
  webhookDeliveries: '/webhook_deliveries',
  organization: '/organization',
};

export type Routes<D> = (app: Api, deps: D, prefix: Prefixes) => void;
