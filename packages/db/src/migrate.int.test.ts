import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPostgres, type TestPostgres } from '@rowsmith/testkit';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { migrateDatabase } from './migrate.js';

let postgres: TestPostgres;
let folder = '';
let url = '';
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.stop());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rowsmith-migrations-'));
  url = await postgres.createDatabase();
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query('DROP TABLE _prisma_migrations');
  await client.end();
});
const add = async (name: string, sql: string) => {
  await mkdir(join(folder, name), { recursive: true });
  await writeFile(join(folder, name, 'migration.sql'), sql);
};

test('two at once: applied once, in order; functions with semicolons arrive whole', async () => {
  await add('0002_b', "INSERT INTO one VALUES (';'); CREATE FUNCTION f() RETURNS text AS $$ BEGIN RETURN 'a;b'; END $$ LANGUAGE plpgsql;");
  await add('0001_a', 'CREATE TABLE one (x text);');
  const [a, b] = await Promise.all([migrateDatabase(url, folder), migrateDatabase(url, folder)]);
  expect([...(a ?? []), ...(b ?? [])]).toEqual(['0001_a', '0002_b']);
});

test('a failing file is rolled back whole, reported, and stops later runs; an edited or unknown one is refused', async () => {
  await add('0001_a', 'CREATE TABLE two (x text);');
  await migrateDatabase(url, folder);
  await add('0001_a', 'CREATE TABLE two (x int);');
  await expect(migrateDatabase(url, folder)).rejects.toThrow(/0001_a was edited/);
  await add('0001_a', 'CREATE TABLE two (x text);');
  await add('0002_b', 'CREATE TABLE three (x text); SELECT nonsense;');
  await expect(migrateDatabase(url, folder)).rejects.toThrow(/0002_b failed and was rolled back/);
  await expect(migrateDatabase(url, folder)).rejects.toThrow(/0002_b failed earlier/);
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  expect((await client.query("SELECT to_regclass('three') AS t")).rows).toEqual([{ t: null }]);
  await client.query('DELETE FROM _prisma_migrations WHERE finished_at IS NULL');
  await client.end();
  await rm(join(folder, '0001_a'), { recursive: true });
  await expect(migrateDatabase(url, folder)).rejects.toThrow(/ahead of this build/);
});
