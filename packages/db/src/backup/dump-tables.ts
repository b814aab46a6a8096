import pg from 'pg';
import { tablesInOrder } from './tables.js';

export interface DumpedTable {
  readonly name: string;
  readonly columns: readonly string[];
  readonly rows: number;
}
export interface DatabaseDump {
  /** Applied when it was taken, in order: a restored database is brought to this state before the rows go in. */
  readonly migrations: readonly string[];
  /** Tables that others point at come first. */
  readonly tables: readonly DumpedTable[];
}

const fetchRows = 500;

/**
 * Every row of every table, one JSON text a line, as one moment saw them: a single snapshot, while the service goes on. The queue's schema stays out, for
 * it is made again from the tables. `write` gets the lines of one table after the other.
 */
export async function dumpTables(
  databaseUrl: string,
  write: (table: string, lines: AsyncIterable<string>) => Promise<void>,
): Promise<DatabaseDump> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    // Times as text in one zone, and read back as the same moments wherever that is.
    await client.query("SET TIME ZONE 'UTC'; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    const { rows: applied } = await client.query<{ name: string }>(
      'SELECT migration_name AS name FROM _prisma_migrations WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL ORDER BY migration_name',
    );
    const tables: DumpedTable[] = [];
    for (const { name, columns } of await tablesInOrder(client)) {
      let rows = 0;
      const lines = async function* () {
        await client.query(`DECLARE dumped NO SCROLL CURSOR FOR SELECT row_to_json(t)::text AS line FROM ${pg.escapeIdentifier(name)} t`);
        for (;;) {
          const page = await client.query<{ line: string }>(`FETCH ${fetchRows} FROM dumped`);
          if (page.rows.length === 0) break;
          rows += page.rows.length;
          for (const { line } of page.rows) yield line;
        }
        await client.query('CLOSE dumped');
      };
      await write(name, lines());
      tables.push({ name, columns, rows });
    }
    await client.query('COMMIT');
    return { migrations: applied.map(({ name }) => name), tables };
  } finally {
    await client.end();
  }
}
