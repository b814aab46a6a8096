/**
 * The adapter as it was at a checkpoint. Its rows are there as they are (a checkpoint's rows file is that of the adapter made of it); the PEFT folder is made of them
 * while it is sent, module by module, without the engine and without the base's weights.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import {
  AdapterError,
  baseReference,
  basePrecision,
  describeAdapter,
  descriptionName,
  fusedPlacements,
  openRows,
  rowsFileName,
  streamPeft,
} from '@rowsmith/adapter';
import { CheckpointManifest, canonicalJson, dataIdentity, isEncoder, type ManifestFile, parseAs } from '@rowsmith/contracts';
import type { CheckpointRecord, JobRecord, JobStore, ObjectStore } from '@rowsmith/core';
import { ModelError, readSafetensors } from '@rowsmith/hf';
import { conflict, notFound, notPossible, unavailable } from '../http/api-error.js';
import type { BaseModel, BaseModels } from '../models/base-models.js';
import type { AdapterFormat } from './adapter-files.js';
import { ContentMismatchError } from './stored-bytes.js';
import { storedContent, type TarContent } from './tar.js';
import { verifiedSource } from './verified-source.js';

export interface CheckpointAdapterDeps {
  readonly jobs: Pick<JobStore, 'checkpoint'>;
  readonly objects: Pick<ObjectStore, 'get' | 'getBytes'>;
  readonly models: Pick<BaseModels, 'get' | 'tokenizerFiles'>;
}
export interface CheckpointAdapter {
  readonly step: number;
  /** Of the names and contents: equal where these are. */
  readonly sha256: string;
  readonly contents: readonly TarContent[];
}
/** `tag` stands for the bytes in the hash of the whole. */
type Tagged = TarContent & { readonly tag: string };

const param = 'checkpoint';
const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex');

/** Throws ApiError: 404 for what is no checkpoint of the job or is not kept any more, 409 for one that is damaged, 400 where the format cannot be. */
export async function checkpointAdapter(
  deps: CheckpointAdapterDeps,
  job: JobRecord,
  checkpointId: string,
  format: AdapterFormat,
): Promise<CheckpointAdapter> {
  const record = await keptCheckpoint(deps, job, checkpointId);
  try {
    const manifest = await manifestOf(deps, record);
    const rows = manifest.files.find(({ name }) => name === rowsFileName);
    if (rows === undefined) throw new AdapterError('bad_rows', `its manifest names no ${rowsFileName}`);
    const description = small(descriptionName, describe(job, record, manifest));
    const files =
      format === 'rows' ? [{ ...storedContent(deps.objects, rows), tag: rows.sha256 }] : await peftFiles(deps, job, manifest, rows);
    const contents = [...files, description].sort((a, b) => (a.name < b.name ? -1 : 1));
    return { step: record.step, sha256: sha256(canonicalJson(contents.map(({ name, bytes, tag }) => ({ name, bytes, tag })))), contents };
  } catch (error) {
    if (![ContentMismatchError, AdapterError, ModelError].some((kind) => error instanceof kind)) throw error;
    // Retention may have taken it since it was looked up.
    await keptCheckpoint(deps, job, checkpointId);
    const message = `Checkpoint ${checkpointId} cannot be read: ${(error as Error).message}. Another one may be whole; GET .../jobs/${job.id}/verify says which.`;
    throw conflict(message, 'checkpoint_damaged', param);
  }
}

async function keptCheckpoint({ jobs }: CheckpointAdapterDeps, job: JobRecord, id: string): Promise<CheckpointRecord> {
  const record = await jobs.checkpoint(job.projectId, id);
  if (record === null || record.jobId !== job.id) throw notFound(`Job ${job.id} has no checkpoint '${id}'.`, 'checkpoint_not_found', param);
  if (record.removedAt !== null) {
    const kept = job.rowSparse.keep_checkpoints;
    const message = `The checkpoint of step ${record.step} is not kept any more: the job keeps ${kept} (keep_checkpoints), GET .../jobs/${job.id}/checkpoints lists them.`;
    throw notFound(message, 'checkpoint_removed', param);
  }
  if (record.quarantineReason !== null)
    throw conflict(`Checkpoint ${id} was found damaged and set aside: ${record.quarantineReason}.`, 'checkpoint_damaged', param);
  return record;
}

async function manifestOf(
  { objects }: CheckpointAdapterDeps,
  { manifestKey, manifestSha256 }: CheckpointRecord,
): Promise<CheckpointManifest> {
  const bytes = await objects.getBytes(manifestKey);
  if (bytes === null || sha256(bytes) !== manifestSha256) throw new ContentMismatchError({ key: manifestKey });
  return parseAs(CheckpointManifest, JSON.parse(Buffer.from(bytes).toString('utf8')), 'checkpoint manifest');
}

function describe({ id, spec }: JobRecord, record: CheckpointRecord, manifest: CheckpointManifest): Uint8Array {
  const { base_sha256, config_sha256, data_sha256, step, metrics } = manifest;
  const precision = basePrecision(spec.row_sparse);
  return describeAdapter({
    ...{ format: 'rowsmith-checkpoint-rows/1', job_id: id, base_model: spec.model },
    ...{ base_sha256, config_sha256, data_sha256, step, metrics },
    ...{ checkpoint_id: record.id, checkpoint_sha256: record.manifestSha256 },
    ...(precision && { base_precision: precision }),
  });
}

const small = (name: string, bytes: Uint8Array): Tagged => ({
  ...{ name, bytes: bytes.byteLength, tag: sha256(bytes) },
  read: async function* () {
    yield bytes;
  },
});

const useRows = 'format=rows has the rows as they were trained.';

/** All of the folder but `rowsmith.json`. */
async function peftFiles(
  { objects, models }: CheckpointAdapterDeps,
  { spec }: JobRecord,
  manifest: CheckpointManifest,
  rows: ManifestFile,
): Promise<Tagged[]> {
  const model: BaseModel | null = await models.get(spec.model);
  // The data's hash covers the tokenizer.
  const data = model && sha256(canonicalJson(dataIdentity(spec, model.tokenizer_sha256)));
  if (model?.base_sha256 !== manifest.base_sha256 || data !== manifest.data_sha256) {
    const message = `The base model '${spec.model}' of the job is not in this service any more, or is another one now; its configuration and tokenizer are part of a PEFT folder. ${useRows}`;
    throw notPossible(message, 'base_model_changed', 'format');
  }
  const wholeParts = 'need the finished job: a PEFT folder holds them whole, with the base added';
  if (isEncoder(model.config)) throw notPossible(`The heads of a classifier ${wholeParts}. ${useRows}`, 'format_not_possible', 'format');
  const source = await verifiedSource(objects, rows, rowsFileName);
  const file = openRows(await readSafetensors(source), { baseSha256: manifest.base_sha256 });
  if ([...file.modules.values()].some(({ biases }) => biases))
    throw notPossible(`Trained biases ${wholeParts}. ${useRows}`, 'format_not_possible', 'format');
  const { small: texts, weights } = await streamPeft(file, {
    ...baseReference(model.source, spec.model),
    baseSha256: manifest.base_sha256,
    basePrecision: basePrecision(spec.row_sparse),
    placements: fusedPlacements(model.config, file.modules.keys()),
    modelLayers: model.config.n_layers,
  });
  const { name, bytes, header, read } = weights;
  return [
    ...Array.from(texts, ([textName, content]) => small(textName, content)),
    { name, bytes, read, tag: sha256(`${rows.sha256} ${sha256(header)}`) },
    ...(await tokenizerOf(models, model)),
  ];
}

async function tokenizerOf(models: CheckpointAdapterDeps['models'], model: BaseModel): Promise<Tagged[]> {
  const files = await models.tokenizerFiles(model).catch((error: unknown) => {
    if (error instanceof ModelError || (error as NodeJS.ErrnoException | null)?.code === 'ENOENT')
      throw unavailable(`The tokenizer of '${model.id}' cannot be read now.`);
    throw error;
  });
  return files.map(({ name, path, bytes, sha256: tag }) => ({ name, bytes, tag, read: () => createReadStream(path) }));
}
