import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  adapterConfigName,
  adapterWeightsName,
  type BaseHeads,
  baseReference,
  describeAdapter,
  descriptionName,
  encodeRows,
  exportPeft,
  fusedPlacements,
  readRows,
  rowsFileName,
  type Verification,
  verifyPeftExport,
} from '@rowsmith/adapter';
import type { AdapterManifest, BasePrecision, ModuleRows, RowDelta } from '@rowsmith/contracts';
import type { LinearInfo, RowValues } from '@rowsmith/engine';
import { type PackedModel, tokenizerFileNames } from '@rowsmith/hf';
import { readPackedBias, readPackedColumns, readPackedRows } from './base-model.js';
import { type Binding, encodeManifest, manifestName } from './checkpoint-manifest.js';
import { type Objects, upload } from './object-files.js';
import { TrainerError } from './trainer-error.js';

export interface AdapterInput {
  readonly packed: PackedModel;
  readonly baseModel: string;
  readonly linears: readonly LinearInfo[];
  readonly binding: Binding;
  readonly step: number;
  readonly delta: RowDelta;
  /** Rows and columns as the trained model holds them. */
  readonly tunedRows: RowValues;
  /** Of a classifier. */
  readonly classifier?: AdapterClassifier | undefined;
  /** undefined: f32. */
  readonly basePrecision?: BasePrecision | undefined;
}
export interface AdapterClassifier {
  readonly classes: readonly string[];
  /** Heads before training. */
  readonly heads: BaseHeads;
  /** Of the model as it is stored; absent without validation data. */
  readonly evaluation?: AdapterManifest['evaluation'];
}
export interface PreparedAdapter {
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly description: Omit<AdapterManifest, 'files' | 'checkpoint_sha256'>;
}

const placementsOf = ({ index }: PackedModel, linears: readonly LinearInfo[]) =>
  fusedPlacements(
    index.config,
    linears.map(({ name }) => name),
  );

/**
 * Makes the adapter's files in `dir`, reads them back from there and compares them with the trained rows. The bytes depend on job, base and rows alone, not on the
 * attempt or the time. Throws AdapterError when the export is not exactly what was trained.
 */
export async function prepareAdapter(input: AdapterInput, dir: string): Promise<PreparedAdapter> {
  const { packed, delta, binding, step, basePrecision, classifier } = input;
  const { source, config } = packed.index;
  const baseBiases = new Map<string, Float32Array>();
  for (const linear of input.linears)
    if (delta.get(linear.name)?.biasDelta && !classifier?.heads.has(linear.name))
      baseBiases.set(linear.name, await readPackedBias(packed, linear));
  const { rank, files: peft } = exportPeft(delta, {
    baseBiases,
    ...baseReference(source, input.baseModel),
    baseSha256: binding.base_sha256,
    modelLayers: config.n_layers,
    placements: placementsOf(packed, input.linears),
    heads: classifier?.heads,
    classes: classifier?.classes,
    basePrecision,
  });
  const files = new Map(peft).set(rowsFileName, encodeRows(delta, binding.base_sha256));
  await mkdir(dir);
  for (const [name, bytes] of files) await writeFile(join(dir, name), bytes, { flag: 'wx' });
  const verification = await verified(input, dir);
  const description = {
    format: 'rowsmith-adapter/1' as const,
    job_id: binding.job_id,
    base_model: input.baseModel,
    base_sha256: binding.base_sha256,
    config_sha256: binding.config_sha256,
    data_sha256: binding.data_sha256,
    step,
    ...(basePrecision && { base_precision: basePrecision }),
    ...(classifier && { classes: [...classifier.classes] }),
    ...(classifier?.evaluation && { evaluation: classifier.evaluation }),
    rank,
    trainable_parameters: Array.from(delta.values()).reduce(
      (sum, { delta: d, columnDelta, biasDelta }) => sum + d.length + (columnDelta?.length ?? 0) + (biasDelta?.length ?? 0),
      0,
    ),
    verification: { ...verification },
  };
  files.set(descriptionName, describeAdapter(description));
  for (const name of tokenizerFileNames) files.set(name, await readFile(join(packed.dir, name)));
  return { files, description };
}

async function verified({ packed, linears, delta, binding, tunedRows, classifier }: AdapterInput, dir: string): Promise<Verification> {
  const linearOf = (name: string) => linears.find((linear) => linear.name === name) ?? notTrained(name);
  const trained = (name: string) => delta.get(name) ?? notTrained(name);
  const verification = await verifyPeftExport({
    configPath: join(dir, adapterConfigName),
    weightsPath: join(dir, adapterWeightsName),
    delta,
    tunedRows,
    placements: placementsOf(packed, linears),
    heads: classifier?.heads,
    baseRows: (name) => readPackedRows(packed, linearOf(name), trained(name).indices),
    baseBias: (name) => readPackedBias(packed, linearOf(name)),
    baseColumns: (name) => readPackedColumns(packed, linearOf(name), trained(name).columns ?? new Int32Array(0)),
  });
  const stored = await readRows(join(dir, rowsFileName), { baseSha256: binding.base_sha256 });
  for (const [name, rows] of delta) {
    const same = (part: (of: ModuleRows) => ArrayBufferView | undefined) => {
      const [a, b] = [stored.get(name), rows].map((of) => of && part(of));
      return a && b ? Buffer.compare(bytesOf(a), bytesOf(b)) === 0 : a === b;
    };
    const parts = [
      same((of) => of.indices),
      same((of) => of.delta),
      same((of) => of.columns),
      same((of) => of.columnDelta),
      same((of) => of.biasDelta),
    ];
    if (parts.includes(false))
      throw new TrainerError('infra', 'export_differs', `${rowsFileName} read back differs from the trained rows in ${name}`);
  }
  return verification;
}

function notTrained(name: string): never {
  throw new RangeError(`${name} was not trained`);
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView) => Buffer.from(buffer, byteOffset, byteLength);

/**
 * Uploads the files, then the manifest that makes them exist. `folder` belongs to this attempt alone. checkpointSha256: of the manifest of the last checkpoint; it depends
 * on the attempt, so no file of the adapter may name it.
 */
export async function publishAdapter(
  store: Objects,
  folder: string,
  { files, description }: PreparedAdapter,
  checkpointSha256: string | null,
) {
  const stored: AdapterManifest['files'] = [];
  for (const [name, bytes] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) stored.push(await upload(store, folder, name, bytes));
  const manifest: AdapterManifest = { ...description, ...(checkpointSha256 && { checkpoint_sha256: checkpointSha256 }), files: stored };
  return upload(store, folder, manifestName, encodeManifest(manifest));
}
