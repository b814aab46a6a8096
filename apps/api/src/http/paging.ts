/** Query parameters of lists, and OpenAI's list envelope. */
import type { PageOf } from '@rowsmith/core';
import { Type } from 'typebox';
import { badRequest } from './api-error.js';

/** `after` is the id of the last item of the page before. */
export const pageQuery = (defaultLimit: number, maxLimit: number) => ({
  after: Type.Optional(Type.String({ minLength: 1, maxLength: 64, description: 'id of the last item of the page before' })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: maxLimit, description: `items a page; ${defaultLimit} if not given` })),
});

/** `has_more` is always there: the SDKs' pages end on it. */
export function listOfItems<R, T extends { readonly id: string }>(page: PageOf<R>, toObject: (record: R) => T) {
  const data = page.items.map(toObject);
  return { object: 'list' as const, data, has_more: page.hasMore, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null };
}

/** A cursor that is no item of the caller's is a mistake; the first page again would hide it, and a client that pages would never end. */
export async function requireCursor(after: string | undefined, find: (id: string) => Promise<unknown>, kind: string): Promise<void> {
  if (after !== undefined && (await find(after)) === null) throw noSuchCursor(after, kind);
}
export const noSuchCursor = (after: string | undefined, kind: string) =>
  badRequest(`No such ${kind}: '${after ?? ''}'.`, 'invalid_value', 'after');

export const unixSeconds = (date: Date) => Math.floor(date.getTime() / 1000);
