import { randomBytes } from 'node:crypto';
import { newId } from '@rowsmith/contracts';
import { runSql, startPostgres, type TestPostgres } from '@rowsmith/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createApiKeyStore, dumpTables, loadTables, openDatabase } from '../index.js';

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.stop());

async function emptyDatabase(): Promise<string> {
  const url = await postgres.createDatabase();
  await runSql(url, 'DROP SCHEMA public CASCADE; CREATE SCHEMA public');
  return url;
}
async function dumped(url: string) {
  const lines: Record<string, string[]> = {};
  const dump = await dumpTables(url, async (table, rows) => {
    const kept: string[] = [];
    for await (const row of rows) kept.push(row);
    lines[table] = kept;
  });
  return { dump, lines };
}
const reader = (lines: Readonly<Record<string, readonly string[]>>) =>
  async function* (table: string) {
    yield* lines[table] ?? [];
  };

test('rows come back as they were: texts, times, numbers, arrays, JSON, more than one page of them', async () => {
  const url = await postgres.createDatabase();
  const database = openDatabase(url);
  const { projectId } = await createApiKeyStore(database).ensure({ hash: 'h', last4: '1234', name: 'test' });
  const jobId = newId('job', randomBytes);
  await database.prisma.job.create({
    data: {
      ...{ id: jobId, projectId, model: 'quote \' " \\ \n \u2028 ü😀', seed: 1, trainingFile: 'f', hyperparameters: { a: [1, null, 'x'] } },
      ...{
        rowSparse: {},
        spec: { b: { c: 1e-7 } },
        resultFiles: ['a', 'b,c'],
        trainedTokens: 2n ** 60n,
        createdAt: new Date(1_700_000_000_123),
      },
    },
  });
  await database.prisma.metric.createMany({
    data: Array.from({ length: 1200 }, (_, step) => ({
      jobId,
      step,
      projectId,
      epoch: step / 3,
      trainLoss: step === 7 ? Number.NaN : Math.fround(1 / (step + 1)),
    })),
  });
  await database.close();

  const before = await dumped(url);
  const names = before.dump.tables.map(({ name }) => name);
  expect(names.indexOf('project')).toBeLessThan(names.indexOf('job'));
  expect(names.indexOf('job')).toBeLessThan(names.indexOf('metric'));
  expect(before.dump.tables.find(({ name }) => name === 'metric')?.rows).toBe(1200);
  const target = await emptyDatabase();
  await loadTables(target, before.dump, reader(before.lines));
  expect(await dumped(target)).toEqual(before);

  await expect(loadTables(target, before.dump, reader(before.lines))).rejects.toThrow(/has tables already/);
});

test('a dump that is not whole, or of a newer build, leaves the database empty', async () => {
  const { dump, lines } = await dumped(await postgres.createDatabase());
  const target = await emptyDatabase();
  const short = { ...dump, tables: dump.tables.map((table) => ({ ...table, rows: table.name === 'job' ? 3 : table.rows })) };
  await expect(loadTables(target, short, reader(lines))).rejects.toThrow(/0 rows of "job" and says 3/);
  await expect(loadTables(target, { ...dump, migrations: [...dump.migrations, '9999_later'] }, reader(lines))).rejects.toThrow(
    /9999_later/,
  );
  await loadTables(target, dump, reader(lines));
});
