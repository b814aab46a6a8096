/**
 * The result file of a succeeded job: a CSV with one row a step, stored as a File of purpose `fine-tune-results`.
 * It is made by whoever sees the job succeeded first, the control loop or who asks for that job (`withResultFile`); a list only names it. So nobody ever
 * sees `succeeded` with empty `result_files`. Content, object key and file id follow from the job alone: two makers at once write the same thing.
 */
import { createHash } from 'node:crypto';
import { base62FromBytes, type FileId, idPrefixes, isId, type MetricPoint } from '@rowsmith/contracts';
import type { DispatchStore, FileStore, JobRecord, JobStore, ObjectStore } from '@rowsmith/core';
import { metricsCsvHeader, metricsCsvRow } from '../jobs/metrics-csv.js';

export interface ResultFileDeps {
  readonly files: FileStore;
  readonly jobs: Pick<JobStore, 'metrics'>;
  readonly dispatch: Pick<DispatchStore, 'setResultFile'>;
  readonly objects: ObjectStore;
}

const pageSize = 1_000;

/** All points of a job, by step. */
export async function* metricPoints(
  jobs: Pick<JobStore, 'metrics'>,
  job: Pick<JobRecord, 'id' | 'projectId'>,
  afterStep = -1,
): AsyncGenerator<MetricPoint> {
  let after = afterStep;
  for (;;) {
    const page = (await jobs.metrics(job.projectId, job.id, after, pageSize)) ?? [];
    yield* page;
    const last = page.at(-1);
    if (last === undefined || page.length < pageSize) return;
    after = last.step;
  }
}

async function* csvBytes(points: AsyncIterable<MetricPoint>): AsyncGenerator<Uint8Array> {
  yield Buffer.from(metricsCsvHeader());
  for await (const point of points) yield Buffer.from(metricsCsvRow(point));
}

export function resultFileId(jobId: string): FileId {
  const id = `${idPrefixes.file}${base62FromBytes(createHash('sha512').update(`result file of ${jobId}`).digest())}`;
  if (!isId('file', id)) throw new Error(`${id} is not a file id`);
  return id;
}

export async function makeResultFile(deps: ResultFileDeps, job: JobRecord): Promise<FileId> {
  const id = resultFileId(job.id);
  if ((await deps.files.get(job.projectId, id)) === null) {
    const key = `files/${job.projectId}/${id}`;
    const stored = await deps.objects.put(key, csvBytes(metricPoints(deps.jobs, job)));
    const file = {
      id,
      projectId: job.projectId,
      filename: `${job.id}-metrics.csv`,
      purpose: 'fine-tune-results' as const,
      ...stored,
      key,
      examples: null,
      findings: null,
      lifeSeconds: null,
    };
    try {
      await deps.files.insert(file);
    } catch (error) {
      // Somebody else made it between our look and our insert: theirs is the same.
      if ((await deps.files.get(job.projectId, id)) === null) throw error;
    }
  }
  await deps.dispatch.setResultFile(job.id, id);
  return id;
}

/** The job as clients may see it in a list: names the file that the control loop is about to make, for plain reads must not write. */
export function naming(job: JobRecord): JobRecord {
  if (job.status !== 'succeeded' || job.resultFiles.length > 0) return job;
  return { ...job, resultFiles: [resultFileId(job.id)] };
}

/** The job as whoever waits for it may see it: the file is there, unless it cannot be made now (a full disk); the control loop then makes it later. */
export async function withResultFile(deps: ResultFileDeps, job: JobRecord): Promise<JobRecord> {
  const named = naming(job);
  if (named !== job) await makeResultFile(deps, job).catch(() => undefined);
  return named;
}
