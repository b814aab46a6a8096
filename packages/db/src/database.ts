import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import { Prisma, PrismaClient } from './generated/client.js';

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

/** One pool of connections. Whoever opens it closes it. */
export interface Database {
  readonly prisma: PrismaClient;
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
    keepAlive: true,
  });
  const adapter = new PrismaPg(pool, { disposeExternalPool: true, statementNameGenerator: statementNames() });
  // Prisma's 2 s and 5 s are too short beside a trainer that has all cores.
  const prisma = new PrismaClient({ adapter, transactionOptions: { maxWait: 10_000, timeout: 20_000 } });
  return {
    prisma,
    pool: () => ({ total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount }),
    close: () => prisma.$disconnect(),
  };
}

/** Raw jsonb parameter. undefined and null become SQL NULL. */
export const jsonb = (value: unknown): Prisma.Sql =>
  value === null || value === undefined ? Prisma.sql`NULL` : Prisma.sql`${JSON.stringify(value)}::jsonb`;
