import { rowsFileName } from '@rowsmith/adapter';
import { AdapterManifest, CheckpointManifest, isId, type ObjectRef, type ProjectId, parseAs } from '@rowsmith/contracts';
import type { JobStore, ObjectStore } from '@rowsmith/core';
import { badRequest } from '../http/api-error.js';
import type { BaseModel } from '../models/base-models.js';

const param = 'row_sparse.warm_start_from';

interface WarmStartDeps {
  readonly jobs: Pick<JobStore, 'get' | 'checkpoint'>;
  readonly objects: Pick<ObjectStore, 'getBytes'>;
}

/** The rows that a job starts from: those of a succeeded job's adapter, or of a checkpoint that is still kept. Throws 400 with the reason. */
export async function warmStartOf(
  from: string | null,
  model: BaseModel,
  projectId: ProjectId,
  deps: WarmStartDeps,
): Promise<ObjectRef | null> {
  if (from === null) return null;
  const { base_sha256: base, files } = isId('checkpoint', from)
    ? await checkpointManifest(from, projectId, deps)
    : await adapterManifest(from, projectId, deps);
  if (base !== model.base_sha256)
    throw badRequest(`The rows of ${from} belong to another base model than '${model.id}'.`, 'invalid_value', param);
  const rows = files.find(({ name }) => name === rowsFileName);
  if (rows === undefined) throw badRequest(`${from} has no rows to start from.`, 'invalid_value', param);
  return { key: rows.key, sha256: rows.sha256, bytes: rows.bytes };
}

async function adapterManifest(from: string, projectId: ProjectId, { jobs, objects }: WarmStartDeps): Promise<AdapterManifest> {
  const job = await jobs.get(projectId, from);
  const manifest = job?.adapterManifestKey ? await objects.getBytes(job.adapterManifestKey) : null;
  if (manifest === null) throw badRequest(`There is no succeeded job '${from}' whose adapter could be the start.`, 'job_not_found', param);
  return parseAs(AdapterManifest, JSON.parse(Buffer.from(manifest).toString('utf8')), 'adapter manifest');
}

async function checkpointManifest(from: string, projectId: ProjectId, { jobs, objects }: WarmStartDeps): Promise<CheckpointManifest> {
  const checkpoint = await jobs.checkpoint(projectId, from);
  if (checkpoint === null || checkpoint.quarantineReason !== null)
    throw badRequest(`There is no sound checkpoint '${from}' that could be the start.`, 'checkpoint_not_found', param);
  const manifest = checkpoint.removedAt === null ? await objects.getBytes(checkpoint.manifestKey) : null;
  if (manifest === null)
    throw badRequest(`The checkpoint ${from} is not kept any more (keep_checkpoints of its job).`, 'checkpoint_not_found', param);
  return parseAs(CheckpointManifest, JSON.parse(Buffer.from(manifest).toString('utf8')), 'checkpoint manifest');
}
