import type { Page, PageOf } from '@rowsmith/core';

interface Placed {
  readonly id: string;
  readonly createdAt: Date;
}
interface Paging {
  readonly where: { readonly OR?: object[] };
  readonly orderBy: [{ createdAt: 'asc' | 'desc' }, { id: 'asc' | 'desc' }];
  readonly take: number;
}

/**
 * Keyset pages over (created_at, id): stable while rows come and go.
 */
export async function pageOf<Row extends Placed, T>(
  page: Page,
  after: Placed | null,
  find: (paging: Paging) => Promise<Row[]>,
  record: (row: Row) => T,
): Promise<PageOf<T>> {
  const direction = page.order ?? 'desc';
  const rows = await find({
    where: after === null ? {} : { OR: boundsAfter(after, direction) },
    orderBy: [{ createdAt: direction }, { id: direction }],
    take: page.limit + 1,
  });
  return { items: rows.slice(0, page.limit).map(record), hasMore: rows.length > page.limit };
}

function boundsAfter({ createdAt, id }: Placed, direction: 'asc' | 'desc'): object[] {
  return direction === 'desc'
    ? [{ createdAt: { lt: createdAt } }, { createdAt, id: { lt: id } }]
    : [{ createdAt: { gt: createdAt } }, { createdAt, id: { gt: id } }];
}
