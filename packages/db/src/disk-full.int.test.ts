/** A real server whose disk is full: writes say that it is unavailable, reads go on, and with space so do writes. */
import { join } from 'node:path';
import { freePort, mountSmallDisk } from '@rowsmith/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openDatabase } from './database.js';
import { isDatabaseUnavailable } from './database-unavailable.js';
import { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded/index.js';

const disk = mountSmallDisk(256 << 20);
let server: EmbeddedPostgres | null = null;
beforeAll(async () => {
  if (disk === null) return;
  const settings = { fsync: 'off', max_wal_size: '64MB', min_wal_size: '32MB' };
  server = await startEmbeddedPostgres({ dataDir: join(disk.folder, 'pg'), port: await freePort(), log: () => undefined, settings });
});
afterAll(async () => {
  disk?.free();
  await server?.stop();
  disk?.unmount();
});

test.runIf(disk !== null)('no space', async () => {
  if (disk === null || server === null) return;
  const { prisma, close } = openDatabase(server.url);
  try {
    await prisma.$executeRaw`CREATE TABLE big (number int, content text)`;
    // Digits that do not compress: 3 MB in the table, and as many in a log that has 16 MB ahead.
    const fill = () => prisma.$executeRaw`INSERT INTO big SELECT n, repeat(md5(n::text), 30) FROM generate_series(1, 3000) AS n`;
    disk.leave(8);
    for (const write of [
      fill,
      () => prisma.$transaction(async (tx) => tx.$executeRaw`INSERT INTO big SELECT n, md5(n::text) FROM generate_series(1, 9000) AS n`),
    ]) {
      const error: unknown = await write().then(
        () => null,
        (why: unknown) => why,
      );
      expect(error).toBeInstanceOf(Error);
      expect([isDatabaseUnavailable(error), String(error)]).toEqual([true, expect.stringMatching(/No space left|53100/)]);
    }
    expect(await prisma.$queryRaw`SELECT count(*)::int AS rows FROM big`).toEqual([{ rows: 0 }]);
    disk.free();
    expect(await fill()).toBe(3_000);
  } finally {
    await close();
  }
});
