/** Everything around a worker, for real: Postgres, queue, objects, a tiny model; and worker processes as they are started in production. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type AdapterManifest, type JobSpec, newId, type PackedModelIndex, type ProjectId, type WorkerId } from '@rowsmith/contracts';
import type { DispatchStore, JobRecord, JobStore, NewJob, ObjectStore, WakeQueue } from '@rowsmith/core';
import {
  createApiKeyStore,
  createDispatchStore,
  createFileStore,
  createJobStore,
  createWorkerStore,
  type Database,
  openDatabase,
} from '@rowsmith/db';
import { createWakeQueue } from '@rowsmith/queue';
import { openObjectStore } from '@rowsmith/storage';
import { addTinyModel, startPostgres, startRedis, startS3 } from '@rowsmith/testkit';

const program = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const trainer = fileURLToPath(new URL('../../../trainer/dist/main.js', import.meta.url));

const applicationName = 'tested-worker';

export interface StackKind {
  readonly queue: 'postgres' | 'redis';
  readonly objects: 'fs' | 's3';
  /** Sees the database and the object store before anything else does. */
  readonly prepare?: (databaseUrl: string, objects: ObjectStore, model: PackedModelIndex) => Promise<void>;
}

export class WorkerStack {
  readonly #workers = new Set<ChildProcess>();
  #pump: Promise<void> = Promise.resolve();
  #closing = false;

  private constructor(
    readonly dataDir: string,
    readonly databaseUrl: string,
    readonly jobs: JobStore,
    readonly dispatch: DispatchStore,
    readonly objects: ObjectStore,
    private readonly database: Database,
    private readonly queue: WakeQueue,
    private readonly projectId: ProjectId,
    private readonly model: PackedModelIndex,
    /** What the workers get beside the database: where the queue and the objects are. */
    private readonly surroundings: Readonly<Record<string, string>>,
    private readonly undo: () => Promise<void>,
  ) {}

  static async start({ queue: queueOn, objects: objectsOn, prepare }: StackKind): Promise<WorkerStack> {
    for (const path of [program, trainer]) if (!existsSync(path)) throw new Error(`${path} is not built: run npx tsc -b`);
    const dataDir = await mkdtemp(join(tmpdir(), 'rowsmith-worker-'));
    const postgres = await startPostgres();
    const databaseUrl = await postgres.createDatabase();
    const redis = queueOn === 'redis' ? await startRedis() : null;
    const s3 = objectsOn === 's3' ? await startS3() : null;
    const bucket = { bucket: 'objects', prefix: 'here', region: 'us-east-1' };
    // The SDK reads its credentials from the environment, in this process as in a worker's.
    if (s3) Object.assign(process.env, s3.credentials);
    const objects = await openObjectStore(
      s3 ? { driver: 's3', ...bucket, endpoint: s3.endpoint } : { driver: 'fs', root: join(dataDir, 'objects') },
    );
    await objects.prepare();
    const model = await addTinyModel(join(dataDir, 'models'));
    await prepare?.(databaseUrl, objects, model);
    const database = openDatabase(databaseUrl);
    const { projectId } = await createApiKeyStore(database).ensure({ hash: 'h'.repeat(64), last4: 'test', name: 'test' });
    const dispatch = createDispatchStore(database, databaseUrl);
    const surroundings: Record<string, string> = {
      ...(redis ? { REDIS_URL: redis.url } : {}),
      ...(s3
        ? {
            ...{ ...s3.credentials, ROWSMITH_STORAGE: 's3', ROWSMITH_S3_ENDPOINT: s3.endpoint },
            ...{ ROWSMITH_S3_BUCKET: bucket.bucket, ROWSMITH_S3_PREFIX: bucket.prefix },
          }
        : {}),
    };
    const queue = await createWakeQueue(redis ? { redisUrl: redis.url } : { databaseUrl });
    const stack = new WorkerStack(
      dataDir,
      databaseUrl,
      createJobStore(database),
      dispatch,
      objects,
      database,
      queue,
      projectId,
      model,
      surroundings,
      async () => {
        await queue.close();
        objects.close();
        await redis?.stop();
        await s3?.stop();
        await dispatch.close();
        await database.close();
        await postgres.stop();
        await rm(dataDir, { recursive: true, force: true });
      },
    );
    stack.#pump = stack.#wakeWaiting();
    return stack;
  }

  /** Where S3 is, past everything; undefined: the objects are files. */
  get s3Endpoint(): string | undefined {
    return this.surroundings['ROWSMITH_S3_ENDPOINT'];
  }

  async stop(): Promise<void> {
    this.#closing = true;
    await this.endWorkers();
    await this.#pump;
    await this.undo();
  }

  async endWorkers(): Promise<void> {
    for (const worker of this.#workers) await this.end(worker, 'SIGKILL');
  }

  /** As the API's control loop does it. */
  async #wakeWaiting(): Promise<void> {
    while (!this.#closing) {
      await this.dispatch.release(30_000);
      for (const { jobId, dispatchNo, deviceClasses, priority } of await this.dispatch.waiting(100))
        await this.queue.wake(jobId, dispatchNo, { deviceClasses, priority });
      await new Promise((next) => setTimeout(next, 50));
    }
  }

  startWorker(id: WorkerId = newId('worker', randomBytes), settings: Readonly<Record<string, string>> = {}): ChildProcess {
    const worker = spawn(process.execPath, [program], {
      env: {
        ...{ PATH: process.env['PATH'], HOME: process.env['HOME'], ROWSMITH_CACHE: process.env['ROWSMITH_CACHE'] },
        ...{
          DATABASE_URL: `${this.databaseUrl}?application_name=${applicationName}`,
          ROWSMITH_DATA: this.dataDir,
          ROWSMITH_MODELS: join(this.dataDir, 'models'),
        },
        ...this.surroundings,
        ...{ ROWSMITH_WORKER_ID: id, ROWSMITH_THREADS: '1', ROWSMITH_HEARTBEAT_SECONDS: '0.2', ...settings },
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    worker.stdout?.resume();
    this.#workers.add(worker);
    return worker;
  }

  /** Resolves with the exit code when it is gone. */
  async end(worker: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
    this.#workers.delete(worker);
    if (worker.exitCode === null && worker.signalCode === null) {
      const gone = new Promise((exit) => worker.once('exit', exit));
      worker.kill(signal);
      await gone;
    }
    return worker.exitCode;
  }

  /** The one child of a worker, or null. */
  async trainerPid(worker: ChildProcess): Promise<number | null> {
    const children = await readFile(`/proc/${worker.pid}/task/${worker.pid}/children`, 'utf8');
    const [pid] = children.trim().split(' ').map(Number);
    return pid ? pid : null;
  }

  /** Ends every connection of the workers to the database, as a restart of the server does. Returns how many there were. */
  cutConnections(): Promise<number> {
    return this.database.prisma
      .$executeRaw`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = ${applicationName}`;
  }

  /** A job whose result depends on data and steps alone. */
  async createJob(
    lines: readonly string[],
    steps: number,
    change: Partial<JobSpec['row_sparse']> = {},
    admission: Partial<Pick<NewJob, 'priority' | 'maxDurationSeconds'>> = {},
  ): Promise<JobRecord> {
    const id = newId('job', randomBytes);
    const file = newId('file', randomBytes);
    const { sha256, bytes } = await this.objects.put(`files/${file}`, Buffer.from(`${lines.join('\n')}\n`));
    await createFileStore(this.database).insert({
      ...{ id: file, projectId: this.projectId, filename: 'data.jsonl', purpose: 'fine-tune', bytes, sha256, key: `files/${file}` },
      ...{ examples: lines.length, findings: null, lifeSeconds: null },
    });
    const hyperparameters = { n_epochs: 1, batch_size: 2, learning_rate_multiplier: 1 };
    const rowSparse: JobSpec['row_sparse'] = {
      ...{ rows: 3, scorer: 'l2', targets: ['q_proj', 'v_proj', 'down_proj'], layers: [0, 1], learning_rate: 0.01, lr_schedule: 'linear' },
      ...{ warmup_ratio: 0.1, min_lr_ratio: 0, weight_decay: 0, max_grad_norm: 1, max_seq_length: 64, gradient_accumulation_steps: 6 },
      ...{ max_steps: steps, eval_every_steps: 20, checkpoint_every_seconds: 0, keep_checkpoints: 3, train_on: 'assistant' },
      ...{
        packing: true,
        length_bucketing: false,
        keep_best: false,
        export: 'last',
        early_stopping_patience: 0,
        early_stopping_min_delta: 0,
      },
      ...{ memory: 'auto', sample_every_evals: 0, sample_temperature: 0, sample_top_k: 0, sample_top_p: 1, warm_start_from: null },
      ...{ calibration_batches: 50, scoring_memory_mb: 0, zo_estimates: 2, zo_splits: 1, zo_eps: 1e-3 },
      ...{
        selection: 'per_layer',
        channels: 'out',
        update_dropout: 0,
        train_biases: false,
        quantization: 'none',
        double_quantization: false,
        precision: 'f32',
        execution: 'auto',
        head_groups: false,
        heads: 0,
        reuse_rows_of: null,
      },
      ...{ sample_prompts: ['hi'], sample_max_tokens: 4, ...change },
    };
    const data = { key: `files/${file}`, sha256, bytes };
    const spec: JobSpec = {
      ...{ job_id: id, model: this.model.id, base_sha256: this.model.base_sha256, training_data: data, validation_data: data, seed: 5 },
      ...{ hyperparameters, row_sparse: rowSparse },
    };
    const job: NewJob = {
      ...{
        id,
        projectId: this.projectId,
        model: this.model.id,
        suffix: null,
        seed: 5,
        metadata: null,
        trainingFile: file,
        validationFile: file,
      },
      ...{ hyperparameters, rowSparse, spec, totalSteps: steps },
      ...{ priority: 50, deviceClass: null, maxDurationSeconds: null, request: { model: this.model.id }, autoStart: true, ...admission },
    };
    const created = await this.jobs.create(job);
    if (typeof created === 'string') throw new Error(`the job was not created: ${created}`);
    return created.job;
  }

  async job(id: string): Promise<JobRecord> {
    const job = await this.jobs.get(this.projectId, id);
    if (!job) throw new Error(`there is no job ${id}`);
    return job;
  }

  /** Asks again until `there` is true; the test's time limit ends it. */
  async until(id: string, there: (job: JobRecord) => boolean): Promise<JobRecord> {
    for (;;) {
      const job = await this.job(id);
      if (there(job)) return job;
      await new Promise((next) => setTimeout(next, 20));
    }
  }
  finished = (id: string): Promise<JobRecord> => this.until(id, (job) => job.finishedAt !== null);

  outcomes = async (jobId: string): Promise<readonly (string | null)[]> =>
    (await this.database.prisma.attempt.findMany({ where: { jobId }, orderBy: { epoch: 'asc' } })).map(({ outcome }) => outcome);
  /** As if the attempt had begun ten minutes ago: one that has just begun is not stopped for another job. */
  age = (jobId: string): Promise<number> =>
    this.database.prisma
      .$executeRaw`UPDATE attempt SET started_at = started_at - interval '10 minutes' WHERE job_id = ${jobId} AND ended_at IS NULL`;
  workers = () => createWorkerStore(this.database).list(15_000);
  pause = (id: string) => this.jobs.pause(this.projectId, id);
  resume = (id: string) => this.jobs.resume(this.projectId, id);
  cancel = (id: string) => this.jobs.cancel(this.projectId, id);
  requestCheckpoint = (id: string) => this.jobs.requestCheckpoint(this.projectId, id);
  events = async (id: string) => (await this.jobs.eventsSince(this.projectId, id, 0, 10_000)) ?? [];
  metrics = async (id: string) => (await this.jobs.metrics(this.projectId, id, -1, 10_000)) ?? [];
  checkpoints = async (id: string) => {
    const page = await this.jobs.checkpoints(this.projectId, id, { limit: 1000 });
    return page === null || page === 'no_cursor' ? [] : page.items;
  };

  async manifest(job: JobRecord): Promise<AdapterManifest> {
    const bytes = await this.objects.getBytes(job.adapterManifestKey ?? '');
    if (!bytes) throw new Error(`${job.id} has no adapter`);
    return JSON.parse(Buffer.from(bytes).toString('utf8')) as AdapterManifest;
  }

  /** SHA-256 of every file of the adapter that says nothing of the job, hashed again from the store. */
  async adapterHashes(job: JobRecord): Promise<Record<string, string>> {
    const hashes: Record<string, string> = {};
    for (const { name, key, sha256 } of (await this.manifest(job)).files) {
      const found = createHash('sha256')
        .update((await this.objects.getBytes(key)) ?? '')
        .digest('hex');
      if (found !== sha256) throw new Error(`${key} is not what its manifest says`);
      if (name !== 'rowsmith.json') hashes[name] = found;
    }
    return hashes;
  }
}
