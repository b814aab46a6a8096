import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import { Prisma, PrismaClient } from './generated/client.js';
import { parsedJson } from './parsed-json.js';

export type Transaction = Prisma.TransactionClient;

/** Texts that get a name. Those that vary without end (lists of values) stay out, or servers would collect their plans. */
const mostStatements = 500;

/**
 * Names for prepared statements: a connection parses and plans a text once, which is more work than most of our queries are.
 * An empty name is none.
 */
function statementNames(): (query: { readonly sql: string }) => string {
  const names = new Map<string, string>();
  return ({ sql }) => {
    const known = names.get(sql);
    if (known !== undefined) return known;
    if (names.size >= mostStatements) return '';
    const name = `rowsmith_${names.size}`;
    names.set(sql, name);
    return name;
  };
}

/** What is sent to the server; `text` must be one of few (it is prepared under a name), with values only in `values`. */
export interface Statement {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** Columns as the driver reads them, but for JSON: see parsedJson. bigint is text. */
const columnTypes: pg.CustomTypesConfig = {
  getTypeParser: (type, format) => (type === pg.types.builtins.JSONB ? parsedJson : pg.types.getTypeParser(type, format)),
};

/** One pool of connections. Whoever opens it closes it. */
export interface Database {
  readonly prisma: PrismaClient;
  /** Past Prisma, on the same connections, outside of any transaction: for the few statements that are asked for hundreds of times a second, a tenth of the processor time. */
  rows<T>(statement: Statement): Promise<readonly T[]>;
  /** Connections as of now; `waiting`: queries that have none yet. */
  pool(): { readonly total: number; readonly idle: number; readonly waiting: number };
  close(): Promise<void>;
}

export function openDatabase(databaseUrl: string, options: { readonly maxConnections?: number } = {}): Database {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: options.maxConnections ?? 10,
    // Without it a server that swallows packets is waited for without end.
    connectionTimeoutMillis: 10_000,
    // A new one costs the server a process and this one a password exchange, and prepares every statement again; after 10 s, which is usual, each burst would begin with that.
    idleTimeoutMillis: 300_000,
    keepAlive: true,
  });
  const nameOf = statementNames();
  const adapter = new PrismaPg(pool, { disposeExternalPool: true, statementNameGenerator: nameOf });
  // Prisma's 2 s and 5 s are too short beside a trainer that has all cores.
  const prisma = new PrismaClient({ adapter, transactionOptions: { maxWait: 10_000, timeout: 20_000 } });
  return {
    prisma,
    rows: async ({ text, values }) =>
      (await pool.query({ text, values: [...values], name: nameOf({ sql: text }), types: columnTypes })).rows,
    pool: () => ({ total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount }),
    close: () => prisma.$disconnect(),
  };
}

/** Raw jsonb parameter. undefined and null become SQL NULL. */
export const jsonb = (value: unknown): Prisma.Sql =>
  value === null || value === undefined ? Prisma.sql`NULL` : Prisma.sql`${JSON.stringify(value)}::jsonb`;
