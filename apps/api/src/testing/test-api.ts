/** The whole API for tests: real Postgres, queue and file store, as `main.ts` puts them together. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { base62FromBytes, type FileObject, type JobObject, newId } from '@rowsmith/contracts';
import { createAttemptStore, openDatabase } from '@rowsmith/db';
import { openObjectStore } from '@rowsmith/storage';
import { createLogger } from '@rowsmith/telemetry';
import { startPostgres, type TestPostgres } from '@rowsmith/testkit';
import type { ControlOptions } from '../control/control-loop.js';
import { loadEnv } from '../env.js';
import { hashApiKey } from '../http/auth.js';
import { openService } from '../service.js';
import { adapterContent, adapterPrefix, begin, succeed } from './finish-job.js';
import { examplesJsonl, formOf } from './form.js';
import { testModelId, writeTestModel } from './test-model.js';

export { chatRow, examplesJsonl, formOf } from './form.js';

export interface TestApiOptions {
  readonly listen?: boolean;
  readonly maxFileBytes?: number;
  readonly requestsPerMinute?: number;
  readonly maxEventLoopDelayMs?: number;
  /** One server for several APIs; else each has its own. */
  readonly postgres?: TestPostgres;
  readonly control?: ControlOptions;
  /** Webhooks may go to loopback. */
  readonly privateWebhooks?: boolean;
  /** More settings. */
  readonly env?: Readonly<Record<string, string>>;
}
type Caller = 'main' | 'other';
interface Answer {
  readonly statusCode: number;
  readonly payload: string;
}

function ok<T>({ statusCode, payload }: Answer): T {
  if (statusCode !== 200) throw new Error(`${statusCode}: ${payload}`);
  return JSON.parse(payload) as T;
}
const newKey = () => `rsk_${base62FromBytes(randomBytes(96), 40)}`;

export async function openTestApi(options: TestApiOptions = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'rowsmith-api-'));
  const postgres = options.postgres ?? (await startPostgres());
  const databaseUrl = await postgres.createDatabase();
  const keys: Record<Caller, string> = { main: newKey(), other: newKey() };
  const env = loadEnv({
    DATABASE_URL: databaseUrl,
    ROWSMITH_PEPPER: randomBytes(32).toString('hex'),
    ROWSMITH_API_KEY: keys.main,
    ROWSMITH_DATA: folder,
    ROWSMITH_MODELS: join(folder, 'models'),
    ROWSMITH_MAX_FILE_BYTES: String(options.maxFileBytes ?? 1_000_000),
    ROWSMITH_REQUESTS_PER_MINUTE: String(options.requestsPerMinute ?? 0),
    ROWSMITH_WEBHOOKS_PRIVATE: options.privateWebhooks ? '1' : '0',
    ...options.env,
  });
  await writeTestModel(env.modelsDir);
  const service = await openService(env, createLogger('api', 'silent'), {
    streams: { retryMs: 5 },
    ...(options.maxEventLoopDelayMs ? { maxEventLoopDelayMs: options.maxEventLoopDelayMs } : {}),
    ...(options.control ? { control: options.control } : {}),
  });
  const { app } = service;
  const database = openDatabase(databaseUrl);
  const stranger = await database.prisma.project.create({ data: { id: newId('project', randomBytes), name: 'stranger' } });
  await database.prisma.apiKey.create({
    data: {
      id: newId('apiKey', randomBytes),
      projectId: stranger.id,
      name: 'other',
      hash: hashApiKey(env.pepper, keys.other),
      last4: keys.other.slice(-4),
      scopes: ['admin'],
    },
  });
  const worker = { attempts: createAttemptStore(database), objects: await openObjectStore(env.storage) };
  const objectsDir = join(env.dataDir, 'objects');
  const url = options.listen ? await app.listen({ host: '127.0.0.1', port: 0 }) : '';
  let broken = false;
  let requests = 0;
  app.server.on('request', () => {
    requests += 1;
  });
  const headers = (caller: Caller = 'main') => ({ authorization: `Bearer ${keys[caller]}` });
  const inject = (method: 'GET' | 'POST' | 'DELETE', path: string) => app.inject({ method, url: path, headers: headers() });
  const getJob = async (id: string) => ok<JobObject>(await inject('GET', `/jobs/${id}`));

  return {
    app,
    postgres,
    databaseUrl,
    url,
    key: keys.main,
    modelId: testModelId,
    modelsDir: env.modelsDir,
    headers,
    inject,
    getJob,
    /** Requests that came over the network so far. */
    requests: () => requests,
    async uploadExamples() {
      const form = formOf([
        { name: 'file', filename: 'rows.jsonl', content: examplesJsonl(8) },
        { name: 'purpose', content: 'fine-tune' },
      ]);
      return ok<FileObject>(
        await app.inject({ method: 'POST', url: '/files', headers: { ...headers(), ...form.headers }, payload: form.body }),
      );
    },
    async createJob(trainingFile: string) {
      const payload = { model: testModelId, training_file: trainingFile };
      return ok<JobObject>(await app.inject({ method: 'POST', url: '/jobs', headers: headers(), payload }));
    },
    async begin(id: string) {
      const { epoch } = await begin(worker, id);
      return {
        heartbeat: async () => (await worker.attempts.heartbeat(id, epoch)).stop,
        cancelled: () => worker.attempts.cancelled(id, epoch),
      };
    },
    async succeed(id: string, steps: number) {
      const job = await getJob(id);
      await succeed(worker, id, steps, `ft:${job.model}:${job.organization_id}:${job.suffix ?? ''}:${job.id}`);
      return adapterContent;
    },
    /** As a worker would. */
    worker,
    putObject: (key: string, body: Uint8Array) => worker.objects.put(key, body),
    damageAdapter: (id: string) => worker.objects.put(`${adapterPrefix(id)}/adapter_model.safetensors`, Buffer.alloc(1_100)),
    /** Oldest first. */
    async eventIds(id: string) {
      const ids: string[] = [];
      for (;;) {
        const after = ids.length > 0 ? `&after=${ids.at(-1)}` : '';
        const page = ok<{ data: { id: string }[]; has_more: boolean }>(await inject('GET', `/jobs/${id}/events?limit=100${after}`));
        ids.push(...page.data.map((event) => event.id));
        if (!page.has_more) return ids.reverse();
      }
    },
    /** Files of the object store on disk, temporary ones too. */
    async storedPaths(): Promise<string[]> {
      const entries = await readdir(objectsDir, { recursive: true, withFileTypes: true }).catch(() => []);
      return entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
    },
    async breakDatabase() {
      broken = true;
      await postgres.stop();
    },
    async close() {
      await service.close();
      await database.close();
      if (options.postgres === undefined && !broken) await postgres.stop();
      await rm(folder, { recursive: true });
    },
  };
}
export type TestApi = Awaited<ReturnType<typeof openTestApi>>;
