import type pg from 'pg';

export interface TableShape {
  readonly name: string;
  readonly columns: readonly string[];
}

/** Our tables (the migrations' own list is none), each after those it points at. */
export async function tablesInOrder(client: pg.Client): Promise<readonly TableShape[]> {
  const { rows } = await client.query<{ name: string; columns: string[]; needs: string[] }>(`
    SELECT c.relname AS name,
      ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS columns,
      ARRAY(SELECT DISTINCT t.relname::text FROM pg_constraint k JOIN pg_class t ON t.oid = k.confrelid
            WHERE k.conrelid = c.oid AND k.contype = 'f' AND k.confrelid <> c.oid) AS needs
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relkind = 'r' AND c.relname <> '_prisma_migrations' ORDER BY c.relname`);
  const ordered: TableShape[] = [];
  const placed = new Set<string>();
  while (ordered.length < rows.length) {
    const free = rows.filter(({ name, needs }) => !placed.has(name) && needs.every((needed) => placed.has(needed)));
    if (free.length === 0) throw new Error('tables point at each other in a circle: none can be filled first');
    for (const { name, columns } of free) {
      placed.add(name);
      ordered.push({ name, columns });
    }
  }
  return ordered;
}
