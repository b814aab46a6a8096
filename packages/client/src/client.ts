/** The typed client: `api` calls any route of the OpenAPI document; the methods give each route a name, and do what takes more than one call, or a stream. */
import createClient, { type Client } from 'openapi-fetch';
import { type FileMethods, fileMethods } from './files.js';
import type { paths } from './generated/api.js';
import { makeHttp } from './http.js';
import { type JobResultMethods, jobResultMethods } from './job-results.js';
import { type JobMethods, jobMethods } from './jobs.js';
import { type OrganizationMethods, organizationMethods } from './organization.js';
import { type ServiceMethods, serviceMethods } from './service.js';

export interface RowsmithClientOptions {
  /** e.g. `http://127.0.0.1:8080` */
  readonly baseUrl: string;
  /** null: none is sent. */
  readonly apiKey: string | null;
  readonly fetch?: typeof globalThis.fetch;
}

/** Every method throws RowsmithApiError when the API refuses, and the network's own error when it is not there. */
export interface RowsmithClient extends FileMethods, JobMethods, JobResultMethods, OrganizationMethods, ServiceMethods {
  readonly api: Client<paths>;
}

export function createRowsmithClient(options: RowsmithClientOptions): RowsmithClient {
  const baseUrl = options.baseUrl.replace(/\/+$/, '');
  const fetchImpl = options.fetch ?? globalThis.fetch;
  const http = makeHttp(baseUrl, options.apiKey, fetchImpl);
  const api = createClient<paths>({
    baseUrl,
    fetch: (request) => fetchImpl(request),
    headers: options.apiKey === null ? {} : { authorization: `Bearer ${options.apiKey}` },
  });
  const calls = { api, http };
  return {
    api,
    ...fileMethods(calls),
    ...jobMethods(calls),
    ...jobResultMethods(calls),
    ...organizationMethods(calls),
    ...serviceMethods(calls),
  };
}
