/**
 * node scripts/migrate.mjs: brings the database of DATABASE_URL up to date, and the queue's schema in it where no REDIS_URL is set.
 * Containers run it before api and workers; `rowsmith up` does the same by itself. Running it again, or twice at once, changes nothing.
 */
const [argument] = process.argv.slice(2);
if (argument !== undefined) {
  const help = argument === '--help' || argument === '-h';
  // Images hold this file alone, so it has no help of the other scripts.
  process[help ? 'stdout' : 'stderr'].write(
    'Usage: node scripts/migrate.mjs, with DATABASE_URL in the environment, and REDIS_URL where the queue is there.\n',
  );
  process.exit(help ? 0 : 2);
}
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
