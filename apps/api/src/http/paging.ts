/** Query parameters of lists, and OpenAI's list envelope. */
import type { PageOf } from '@rowsmith/core';
import { Type } from 'typebox';

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

export const unixSeconds = (date: Date) => Math.floor(date.getTime() / 1000);
