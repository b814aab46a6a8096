/** What the groups of methods share: openapi-fetch for objects, plain requests for streams, one way to fail. */
import type { Client } from 'openapi-fetch';
import { apiError, requireOk } from './api-error.js';
import type { paths } from './generated/api.js';
import type { Http } from './http.js';

export interface Calls {
  readonly api: Client<paths>;
  readonly http: Http;
}
export interface ListOf<T> {
  readonly data: readonly T[];
  readonly has_more: boolean;
}
export interface PageOptions {
  /** Id of the last item of the page before. */
  readonly after?: string;
  readonly limit?: number;
}
export interface Abortable {
  readonly signal?: AbortSignal;
}

/** Typed by contracts, from which the document is made: openapi-fetch turns tuples of an answer into plain arrays. */
export function unwrap<T>(result: { readonly data?: unknown; readonly error?: unknown; readonly response: Response }): T {
  if (result.data === undefined) throw apiError(result.response, result.error);
  return result.data as T;
}

export async function bodyOf(response: Response): Promise<ReadableStream<Uint8Array>> {
  const { body } = await requireOk(response);
  if (body === null) throw new Error('the answer has no body');
  return body;
}

/** Options that were given: with exactOptionalPropertyTypes an undefined one is not the same as none. */
export const given = <T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: Exclude<T[K], undefined> };
export const pageOf = ({ after, limit }: PageOptions = {}): { after?: string; limit?: number } => given({ after, limit });
export const path = (id: string) => ({ path: { id } });
export const jobPath = (id: string, rest: string) => `/v1/fine_tuning/jobs/${encodeURIComponent(id)}/${rest}`;

/** Every item of a paged list, page after page: `for await (const job of listAll((page) => client.listJobs(page)))`. */
export async function* listAll<T extends { readonly id: string }>(
  list: (page: PageOptions) => Promise<ListOf<T>>,
  { limit }: { readonly limit?: number } = {},
): AsyncGenerator<T, void, undefined> {
  let after: string | undefined;
  for (;;) {
    const { data, has_more } = await list(given({ after, limit }));
    yield* data;
    after = data.at(-1)?.id;
    if (!has_more || after === undefined) return;
  }
}
