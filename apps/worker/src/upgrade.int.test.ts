/** Jobs of an older build go on after an upgrade: its tables are migrated, its specifications completed, and the bytes are those of a job made today. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { canonicalJson, configIdentity } from '@rowsmith/contracts';
import { migrateDatabase } from '@rowsmith/db';
import { runSql } from '@rowsmith/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WorkerStack } from './testing/stack.js';

const lines = Array.from({ length: 24 }, (_, i) =>
  JSON.stringify({
    messages: [
      { role: 'user', content: `say ${i}` },
      { role: 'assistant', content: `${i}, ${i}` },
    ],
  }),
);
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
let stack: WorkerStack;

async function asOldBuildLeftIt(databaseUrl: string, base_sha256: string, data: string): Promise<void> {
  await runSql(databaseUrl, 'DROP SCHEMA public CASCADE; CREATE SCHEMA public');
  await migrateDatabase(databaseUrl, undefined, new Set(['0001_init']));
  const values: Record<string, string> = { base_sha256, data_sha256: sha256(data), data_bytes: String(Buffer.byteLength(data)) };
  const text = await readFile(new URL('../fixtures/installation-0001.sql', import.meta.url), 'utf8');
  await runSql(
    databaseUrl,
    text.replace(/\{\{(\w+)\}\}/g, (_, name: string) => values[name] ?? ''),
  );
}

beforeAll(async () => {
  stack = await WorkerStack.start({
    ...{ queue: 'postgres', objects: 'fs' },
    async prepare(databaseUrl, objects, model) {
      const data = `${lines.join('\n')}\n`;
      await objects.put('files/file-00000000000000000000old1', Buffer.from(data));
      await asOldBuildLeftIt(databaseUrl, model.base_sha256, data);
      const applied = await migrateDatabase(databaseUrl);
      expect(applied[0]).toBe('0002_uploads_and_admission');
    },
  });
});
afterAll(() => stack.stop());

test('a job that waited, and one that ran, end as a job made today does', async () => {
  expect(await stack.dispatch.requeueLost(30_000)).toBe(1);
  const worker = stack.startWorker();
  const made = await stack.finished((await stack.createJob(lines, 8)).id);
  expect(made.error).toBeNull();
  const bytes = await stack.adapterHashes(made);
  for (const [id, epoch] of [
    ['ftjob-0000000000000000000queued', 1],
    ['ftjob-000000000000000000running', 2],
  ] as const) {
    const job = await stack.finished(id);
    expect(job).toMatchObject({ status: 'succeeded', epoch, error: null, rowSparse: { selection: 'per_layer', quantization: 'none' } });
    expect(await stack.adapterHashes(job)).toEqual(bytes);
    // Bound to what is stored, so that checkpoints and links of the older build still hold.
    expect(job.spec.row_sparse).not.toHaveProperty('quantization');
    expect((await stack.manifest(job)).config_sha256).toBe(sha256(canonicalJson(configIdentity(job.spec))));
  }
  await stack.end(worker, 'SIGTERM');
}, 240_000);
