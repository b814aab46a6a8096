/**
 * node scripts/migrate.mjs: brings the database of DATABASE_URL up to date, and the queue's schema in it where no REDIS_URL is set.
 * Containers run it before api and workers; `rowsmith up` does the same by itself. Running it again, or twice at once, changes nothing.
 */
const { DATABASE_URL: databaseUrl, REDIS_URL: redisUrl } = process.env;
if (!databaseUrl) {
  process.stderr.write('DATABASE_URL is not set.\n');
  process.exit(2);
}
const { migrateDatabase } = await import(new URL('../packages/db/dist/index.js', import.meta.url).href);
const { migrateQueue } = await import(new URL('../packages/queue/dist/index.js', import.meta.url).href);
await migrateDatabase(databaseUrl);
if (!redisUrl) await migrateQueue({ databaseUrl });
process.stdout.write('The database is up to date.\n');
