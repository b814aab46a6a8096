/** The tables as they are, read past every proxy: what the judge believes. */
import pg from 'pg';

export interface HeldJob {
  readonly id: string;
  readonly status: string;
  readonly epoch: number;
  /** Attempts that failed or were lost since the newest checkpoint. */
  readonly fruitless: number;
  /** Of the newest checkpoint, -1 before the first. */
  readonly step: number;
  /** The attempt that runs has made a checkpoint. */
  readonly saved: boolean;
  /** Of the attempt that runs. */
  readonly workerId: string | null;
  readonly errorCode: string | null;
}
export interface AttemptRow {
  readonly epoch: number;
  readonly outcome: string | null;
  readonly errorCode: string | null;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
}
export interface EventRow {
  readonly seq: number;
  readonly type: string;
  readonly message: string;
}
export interface JobRows {
  readonly status: string;
  readonly errorCode: string | null;
  readonly errorMessage: string | null;
  readonly adapterManifestKey: string | null;
  readonly attempts: readonly AttemptRow[];
  readonly events: readonly EventRow[];
  /** Steps with a training loss, as they stand. */
  readonly trainedSteps: readonly number[];
}

export class Ledger {
  constructor(private readonly url: string) {}

  #client: Promise<pg.Client> | null = null;
  #last: Promise<unknown> = Promise.resolve();

  /** One connection for all questions, a new one when it broke: the server may just have been killed. Asks again until it answers. */
  async #ask<Row extends pg.QueryResultRow>(text: string, values: readonly unknown[] = [], patienceMs = 60_000): Promise<Row[]> {
    for (const deadline = performance.now() + patienceMs; ; ) {
      this.#client ??= this.#connect();
      const asked = this.#client;
      try {
        const answer = this.#last.then(async () => (await asked).query<Row>(text, [...values]));
        this.#last = answer.catch(() => undefined);
        return (await answer).rows;
      } catch (error) {
        if (this.#client === asked) {
          this.#client = null;
          void asked.then((client) => client.end()).catch(() => undefined);
        }
        if (performance.now() > deadline) throw error;
        await new Promise((next) => setTimeout(next, 50));
      }
    }
  }

  async #connect(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.url, connectionTimeoutMillis: 5_000, query_timeout: 10_000 });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  async close(): Promise<void> {
    await this.#client?.then((client) => client.end()).catch(() => undefined);
    this.#client = null;
  }

  jobs(): Promise<HeldJob[]> {
    return this.#ask<HeldJob>(`
      SELECT j.id, j.status::text AS status, j.epoch, j.checkpoint_step AS step, a.worker_id AS "workerId",
             EXISTS (SELECT 1 FROM checkpoint c WHERE c.job_id = j.id AND c.epoch = j.epoch) AS saved, j.error_code AS "errorCode",
             (SELECT count(*)::int FROM attempt f WHERE f.job_id = j.id AND f.outcome IN ('failed', 'lost') AND f.epoch > COALESCE((
               SELECT c.epoch FROM checkpoint c WHERE c.job_id = j.id ORDER BY c.step DESC, c.epoch LIMIT 1), 0)) AS fruitless
      FROM job j LEFT JOIN attempt a ON a.job_id = j.id AND a.epoch = j.epoch AND a.ended_at IS NULL ORDER BY j.created_at, j.id`);
  }

  async newestCheckpoint(jobId: string): Promise<string | null> {
    const [row] = await this.#ask<{ key: string }>(
      'SELECT manifest_key AS key FROM checkpoint WHERE job_id = $1 AND quarantined_at IS NULL ORDER BY step DESC, epoch DESC LIMIT 1',
      [jobId],
    );
    return row?.key ?? null;
  }

  async rows(jobId: string): Promise<JobRows> {
    const [job] = await this.#ask<Pick<JobRows, 'status' | 'errorCode' | 'errorMessage' | 'adapterManifestKey'>>(
      `SELECT status::text AS status, error_code AS "errorCode", error_message AS "errorMessage", adapter_manifest_key AS "adapterManifestKey" FROM job WHERE id = $1`,
      [jobId],
    );
    if (!job) throw new Error(`there is no job ${jobId}`);
    return {
      ...job,
      attempts: await this.#ask<AttemptRow>(
        'SELECT epoch, outcome::text AS outcome, error_code AS "errorCode", (extract(epoch FROM started_at) * 1000)::float8 AS "startedAt" FROM attempt WHERE job_id = $1 ORDER BY epoch',
        [jobId],
      ),
      events: await this.#ask<EventRow>('SELECT seq, type, message FROM event WHERE job_id = $1 ORDER BY seq', [jobId]),
      trainedSteps: (
        await this.#ask<{ step: number }>('SELECT step FROM metric WHERE job_id = $1 AND train_loss IS NOT NULL ORDER BY step', [jobId])
      ).map(({ step }) => step),
    };
  }

  /** BullMQ's messages on Postgres, all of them, as `obliterate` leaves it. */
  async wipeQueue(): Promise<void> {
    await this.#ask('TRUNCATE bullmq.job CASCADE');
  }

  /** Connections of others than the one that asks. */
  async connections(): Promise<number> {
    const [row] = await this.#ask<{ n: number }>(
      "SELECT count(*)::int AS n FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
    );
    return row?.n ?? 0;
  }
}
