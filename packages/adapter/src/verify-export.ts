/** Proof that a LoRA folder on disk means the trained weights: it is read back as another program would read it. */
import { biasesKey, columnsKey, type ModuleRows, type RowDelta } from '@rowsmith/contracts';
import { openSafetensors, type SafetensorsFile } from '@rowsmith/hf';
import { AdapterError } from './errors.js';
import { componentsOf, type ExportModule, exportModules, type PlacedPart, type Placements } from './fused-modules.js';
import { oneHotRows } from './one-hot.js';
import { readPeftConfig } from './peft-config.js';
import { peftA, peftB, peftBias, peftPrefix } from './peft-export.js';
import { type BaseHeads, headError, savedModule, splitRows } from './saved-heads.js';

export interface VerifyInput {
  /** Paths of adapter_config.json and adapter_model.safetensors. */
  readonly configPath: string;
  readonly weightsPath: string;
  /** What was trained: gives names, shapes and indices. */
  readonly delta: RowDelta;
  /** As they were given to the export. */
  readonly placements?: Placements | undefined;
  /** Rows of the untouched base, read apart from the trainer. [r, in] f32 by module. */
  readonly baseRows: (module: string) => Promise<Float32Array>;
  /** Columns of it, transposed. [c, out] f32 by module; only asked for where columns were trained. */
  readonly baseColumns?: (module: string) => Promise<Float32Array>;
  /** Its whole bias, [out] f32; only asked for where biases were trained. */
  readonly baseBias?: (module: string) => Promise<Float32Array>;
  /** As the export's. */
  readonly heads?: BaseHeads | undefined;
  /** Rows [r, in] by module and transposed columns [c, out] by its `columnsKey`, f32, as the trained model holds them: its losses were computed with them. */
  readonly tunedRows: ReadonlyMap<string, Float32Array>;
}
export interface Verification {
  readonly max_abs_error: number;
  readonly modules: number;
}

/**
 * W_export = f32(W + scale * B·A) for every tuned matrix, compared with the trained rows and columns; max_abs_error is the largest difference. What was not
 * selected needs no arithmetic: its rows of B, or columns of A, are checked to be zero, so W_export = W there. Throws AdapterError `bad_export` (a file is not what was
 * written) or `export_differs` (any difference above 0).
 */
export async function verifyPeftExport(input: VerifyInput): Promise<Verification> {
  const { rank, scale, biases, saved } = await readPeftConfig(input.configPath);
  const { layers, heads } = splitRows(input.delta, input.heads);
  if (saved.join() !== [...heads.keys()].map(savedModule).sort().join())
    throw new AdapterError('bad_export', `the configuration saves [${saved}] whole; the heads are ${[...heads.keys()]}`);
  const trained = Array.from(layers.values()).filter(({ biasDelta }) => biasDelta).length;
  if (biases !== trained > 0)
    throw new AdapterError(
      'bad_export',
      `the configuration says that biases are ${biases ? '' : 'not '}trained; ${trained} modules train theirs`,
    );
  const file = await openSafetensors(input.weightsPath);
  try {
    let worst = 0;
    let at = '';
    const modules = exportModules(layers, input.placements);
    for (const module of modules)
      for (const part of module.parts) {
        const error = await partError(file, module, part, rank, scale, input);
        if (error !== 0 && at === '') at = part.name;
        worst = Math.max(worst, error); // NaN stays NaN
      }
    for (const [name, rows] of heads) {
      const error = await headError(file, name, rows, input.tunedRows, peftPrefix);
      if (error !== 0 && at === '') at = name;
      worst = Math.max(worst, error);
    }
    if (file.tensors.size !== 2 * modules.length + trained + 2 * heads.size)
      throw new AdapterError('bad_export', `the export has ${file.tensors.size} tensors for ${modules.length} modules`);
    if (worst !== 0) throw new AdapterError('export_differs', `the export differs from the trained rows by up to ${worst}, first in ${at}`);
    return { max_abs_error: worst, modules: input.delta.size };
  } finally {
    await file.close();
  }
}

async function partError(
  file: SafetensorsFile,
  module: ExportModule,
  part: PlacedPart,
  fullRank: number,
  scale: number,
  input: VerifyInput,
): Promise<number> {
  const { name, rows } = part;
  const { indices, columns, inFeatures, outFeatures } = rows;
  const read = async (tensor: string, shape: readonly number[]) => {
    const info = file.tensors.get(tensor);
    if (info?.dtype !== 'F32' || info.shape.join() !== shape.join())
      throw new AdapterError('bad_export', `${tensor} is ${info ? `${info.dtype} [${info.shape}]` : 'missing'}, expected F32 [${shape}]`);
    return file.readF32(tensor);
  };
  const { a, b, rank } = ofPart(
    module,
    part,
    await read(peftA(module.name), [fullRank, inFeatures]),
    await read(peftB(module.name), [module.outFeatures, fullRank]),
    fullRank,
  );
  const exported: Exported = { a, b, rank, scale };
  if (columns) checkColumnChoice(exported, rows, columns, name);
  const places = oneHotRows(b, outFeatures, rank, name, columns && { skip: indices.length, count: columns.length });
  if (places.length !== indices.length || places.some(({ row }, k) => row !== indices[k]))
    throw new AdapterError('bad_export', `lora_B of ${name} names other rows than were trained`);
  const component = new Map(places.map(({ row, column }) => [row, column]));
  const errors = [0];
  if (indices.length > 0) {
    const base = await input.baseRows(name);
    errors.push(largestError(exportedRows(exported, rows, component), base, tunedOf(input, name)));
  }
  if (columns) {
    const base = await input.baseColumns?.(name);
    if (!base) throw new AdapterError('bad_export', `${name}: the base's columns are needed to check its columns`);
    errors.push(largestError(exportedColumns(exported, rows, columns, component), base, tunedOf(input, columnsKey(name))));
  }
  if (rows.biasDelta) {
    const base = await input.baseBias?.(name);
    if (!base) throw new AdapterError('bad_export', `${name}: the base's bias is needed to check its bias`);
    const tuned = Float32Array.from(base);
    tunedOf(input, biasesKey(name)).forEach((value, k) => {
      tuned[indices[k] as number] = value;
    });
    const stored = await read(peftBias(module.name), [module.outFeatures]);
    errors.push(stored.reduce((worst, value, row) => Math.max(worst, Math.abs(value - (tuned[row] as number))), 0));
  }
  return Math.max(...errors); // NaN stays NaN
}

/** What of A and B concerns one matrix: its block of B's rows, the components that it uses. Throws AdapterError `bad_export` when others reach into it. */
function ofPart(module: ExportModule, part: PlacedPart, a: Float32Array, b: Float32Array, rank: number): Omit<Exported, 'scale'> {
  const { inFeatures, outFeatures } = part.rows;
  const used = componentsOf(module, part);
  const places = new Map(Array.from(used, (component, k) => [component, k]));
  const own = { a: new Float32Array(used.length * inFeatures), b: new Float32Array(outFeatures * used.length), rank: used.length };
  used.forEach((component, k) => {
    own.a.set(a.subarray(component * inFeatures, (component + 1) * inFeatures), k * inFeatures);
  });
  for (let row = 0; row < outFeatures; row++)
    for (let component = 0; component < rank; component++) {
      const value = b[(part.rowOffset + row) * rank + component] as number;
      const k = places.get(component);
      if (k !== undefined) own.b[row * used.length + k] = value;
      else if (value !== 0)
        throw new AdapterError(
          'bad_export',
          `lora_B of ${module.name} holds ${value} in row ${row} of ${part.name}, where nothing was trained`,
        );
    }
  return own;
}

function tunedOf({ tunedRows }: VerifyInput, key: string): Float32Array {
  const tuned = tunedRows.get(key);
  if (!tuned) throw new AdapterError('bad_export', `${key} was not trained`);
  return tuned;
}

/** f32(base + update) against what the model holds. */
function largestError(update: Float32Array, base: Float32Array, tuned: Float32Array): number {
  if (base.length !== update.length || tuned.length !== update.length) return Number.NaN;
  let worst = 0;
  for (let i = 0; i < update.length; i++) {
    const exported = Math.fround((base[i] as number) + (update[i] as number));
    worst = Math.max(worst, Math.abs(exported - (tuned[i] as number)));
  }
  return worst;
}

interface Exported {
  /** [rank, in] */
  readonly a: Float32Array;
  /** [out, rank] */
  readonly b: Float32Array;
  readonly rank: number;
  readonly scale: number;
}

/** Components [r, r + c) of A must each name one trained column by a single 1. Throws AdapterError `bad_export`. */
function checkColumnChoice({ a }: Exported, { indices, inFeatures }: ModuleRows, columns: Int32Array, name: string): void {
  columns.forEach((column, l) => {
    const start = (indices.length + l) * inFeatures;
    for (let j = 0; j < inFeatures; j++)
      if (a[start + j] !== (j === column ? 1 : 0))
        throw new AdapterError('bad_export', `lora_A of ${name} names other columns than were trained`);
  });
}

/**
 * scale * B·A in the selected rows, [r, in]: every sum over the rank has one product that is not zero, A's row times 1, and where a selected column
 * crosses a second, E times 1, so it is D or f32(D + E) in any order of summation. component: row -> its place in the rank.
 */
function exportedRows({ a, b, rank, scale }: Exported, rows: ModuleRows, component: ReadonlyMap<number, number>): Float32Array {
  const { indices, columns, inFeatures } = rows;
  const update = new Float32Array(indices.length * inFeatures);
  indices.forEach((row, k) => {
    const at = (component.get(row) as number) * inFeatures;
    update.set(a.subarray(at, at + inFeatures), k * inFeatures);
    columns?.forEach((column, l) => {
      const place = k * inFeatures + column;
      update[place] = (update[place] as number) + (b[row * rank + indices.length + l] as number);
    });
  });
  return update.map((value) => scale * value);
}

/** The same in the selected columns, transposed: [c, out]. */
function exportedColumns(
  { a, b, rank, scale }: Exported,
  { indices, inFeatures, outFeatures }: ModuleRows,
  columns: Int32Array,
  component: ReadonlyMap<number, number>,
): Float32Array {
  const update = new Float32Array(columns.length * outFeatures);
  columns.forEach((column, l) => {
    for (let row = 0; row < outFeatures; row++) update[l * outFeatures + row] = b[row * rank + indices.length + l] as number;
    for (const [row, k] of component) {
      const place = l * outFeatures + row;
      update[place] = (update[place] as number) + (a[k * inFeatures + column] as number);
    }
  });
  return update.map((value) => scale * value);
}
