import { PrismaPg } from '@prisma/adapter-pg';
import { Prisma, PrismaClient } from './generated/client.js';

export type Transaction = Prisma.TransactionClient;

/** One pool of connections. Whoever opens it closes it. */
export interface Database {
  readonly prisma: PrismaClient;
  close(): Promise<void>;
}

export function openDatabase(databaseUrl: string, options: { readonly maxConnections?: number } = {}): Database {
  const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: databaseUrl, max: options.maxConnections ?? 10 }) });
  return { prisma, close: () => prisma.$disconnect() };
}

/** Raw jsonb parameter. undefined and null become SQL NULL. */
export const jsonb = (value: unknown): Prisma.Sql =>
  value === null || value === undefined ? Prisma.sql`NULL` : Prisma.sql`${JSON.stringify(value)}::jsonb`;
