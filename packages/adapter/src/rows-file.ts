/**
 * The row-delta file: per module `<module>.indices` I32 [r] and `<module>.delta` F32 [r, in] (its rows), `<module>.columns` I32 [c] and
 * `<module>.column_delta` F32 [c, out] (its columns, transposed), or only one of the pairs; with
 * rows perhaps `<module>.bias_delta` F32 [r]; base and shapes in the header's metadata.
 */
import { canonicalJson, type ModuleRows, parseAs, type RowDelta } from '@rowsmith/contracts';
import { encodeSafetensors, openSafetensors, type SafetensorsFile, type TensorToWrite } from '@rowsmith/hf';
import { Type } from 'typebox';
import { checkRowDelta } from './check-rows.js';
import { AdapterError } from './errors.js';

export const rowsFormat = 'rowsmith-rows/1';
export const rowsFileName = 'rows.safetensors';

const Shapes = Type.Record(Type.String(), Type.Tuple([Type.Integer(), Type.Integer()]));

/** Bytes of the file: a function of the rows and the base alone. Throws AdapterError `bad_rows`. */
export function encodeRows(delta: RowDelta, baseSha256: string): Uint8Array {
  checkRowDelta(delta, rowsFileName);
  const tensors = new Map<string, TensorToWrite>();
  const shapes: Record<string, [number, number]> = {};
  for (const [name, { indices, delta: update, columns, columnDelta, biasDelta, outFeatures, inFeatures }] of delta) {
    if (indices.length > 0) {
      tensors.set(`${name}.indices`, { shape: [indices.length], data: indices });
      tensors.set(`${name}.delta`, { shape: [indices.length, inFeatures], data: update });
    }
    if (biasDelta) tensors.set(`${name}.bias_delta`, { shape: [biasDelta.length], data: biasDelta });
    if (columns && columnDelta) {
      tensors.set(`${name}.columns`, { shape: [columns.length], data: columns });
      tensors.set(`${name}.column_delta`, { shape: [columns.length, outFeatures], data: columnDelta });
    }
    shapes[name] = [outFeatures, inFeatures];
  }
  return encodeSafetensors(tensors, { format: rowsFormat, base_sha256: baseSha256, shapes: canonicalJson(shapes) });
}

export interface ReadRowsOptions {
  /** Base model that the rows must belong to. */
  readonly baseSha256: string;
  /** Name in messages. */
  readonly label?: string;
}

/** What a row-delta file says of a module before its numbers are read. */
export interface ModuleSize {
  readonly rows: number;
  readonly columns: number;
  /** The bias entries of its rows are trained too. */
  readonly biases: boolean;
  readonly outFeatures: number;
  readonly inFeatures: number;
}
/** A row-delta file that is read module by module. Whoever opened the file closes it. */
export interface RowsFile {
  /** In the order of their names. */
  readonly modules: ReadonlyMap<string, ModuleSize>;
  /** Checked: ascending, unique, inside the matrix, finite. Throws AdapterError `bad_rows`. */
  read(module: string): Promise<ModuleRows>;
}

/**
 * Reads and checks a row-delta file; modules in the order of their names. Throws AdapterError `bad_rows` or `other_base`, and ModelError when it
 * is no safetensors file. Nothing of it is trusted: rows ascend, are unique and inside the matrix, values are finite, shapes agree, nothing is left over.
 */
export async function readRows(path: string, { baseSha256, label = rowsFileName }: ReadRowsOptions): Promise<RowDelta> {
  const file = await openSafetensors(path, label);
  try {
    const rows = openRows(file, { baseSha256, label });
    const delta = new Map<string, ModuleRows>();
    for (const name of rows.modules.keys()) delta.set(name, await rows.read(name));
    return delta;
  } finally {
    await file.close();
  }
}

/** The same of a file whose modules are wanted one at a time; what its header says is checked here. Throws as `readRows` does. */
export function openRows(file: SafetensorsFile, { baseSha256, label = rowsFileName }: ReadRowsOptions): RowsFile {
  const { metadata } = file.header;
  if (metadata['format'] !== rowsFormat) throw new AdapterError('bad_rows', `${label}: is not a ${rowsFormat} file`);
  if (metadata['base_sha256'] !== baseSha256)
    throw new AdapterError('other_base', `${label}: belongs to the base model ${metadata['base_sha256']}, this one is ${baseSha256}`);
  const modules = new Map(
    shapesOf(metadata['shapes'], label).map(([name, shape]) => [name, moduleSize(file, name, shape, label)] as const),
  );
  if (modules.size === 0) throw new AdapterError('bad_rows', `${label}: holds no module`);
  const tensorsOf = ({ rows, columns, biases }: ModuleSize) => (rows > 0 ? 2 : 0) + (columns > 0 ? 2 : 0) + (biases ? 1 : 0);
  const known = Array.from(modules.values(), tensorsOf).reduce((sum, count) => sum + count, 0);
  return {
    modules,
    async read(name) {
      const size = modules.get(name);
      if (!size) throw new AdapterError('bad_rows', `${label}: has no module ${name}`);
      const rows = await readModule(file, name, size);
      checkRowDelta(new Map([[name, rows]]), label);
      // After the module itself, whose fault is the better message.
      if (file.tensors.size !== known)
        throw new AdapterError('bad_rows', `${label}: ${file.tensors.size} tensors for ${modules.size} modules`);
      return rows;
    },
  };
}

function shapesOf(text: string | undefined, label: string): [string, [number, number]][] {
  try {
    const shapes = parseAs(Shapes, JSON.parse(text ?? 'null'), `${label}: shapes`);
    return Object.entries(shapes).sort(([a], [b]) => (a < b ? -1 : 1));
  } catch (cause) {
    throw new AdapterError('bad_rows', `${label}: the header's shapes cannot be read (${(cause as Error).message})`, { cause });
  }
}

function moduleSize(file: SafetensorsFile, name: string, [outFeatures, inFeatures]: readonly [number, number], label: string): ModuleSize {
  const expect = (tensor: string, dtype: string, fits: (shape: readonly number[]) => boolean) => {
    const info = file.tensors.get(`${name}.${tensor}`);
    if (!info) throw new AdapterError('bad_rows', `${label}: lacks ${name}.${tensor}`);
    if (info.dtype !== dtype || !fits(info.shape))
      throw new AdapterError(
        'bad_rows',
        `${label}: ${name}.${tensor} is ${info.dtype} [${info.shape}], which does not fit [${outFeatures}, ${inFeatures}]`,
      );
    return info.shape;
  };
  const pair = (indices: string, delta: string, width: number): number => {
    const [count = 0] = expect(indices, 'I32', (shape) => shape.length === 1);
    expect(delta, 'F32', (shape) => shape.length === 2 && shape[0] === count && shape[1] === width);
    return count;
  };
  const has = (...tensors: string[]) => tensors.some((tensor) => file.tensors.has(`${name}.${tensor}`));
  const hasColumns = has('columns', 'column_delta');
  const rows = hasColumns && !has('indices', 'delta') ? 0 : pair('indices', 'delta', inFeatures);
  const biases = has('bias_delta');
  if (biases) expect('bias_delta', 'F32', (shape) => shape.length === 1 && shape[0] === rows);
  return { rows, columns: hasColumns ? pair('columns', 'column_delta', outFeatures) : 0, biases, outFeatures, inFeatures };
}

async function readModule(file: SafetensorsFile, name: string, size: ModuleSize): Promise<ModuleRows> {
  const { biases, outFeatures, inFeatures } = size;
  const has = (tensor: string) => file.tensors.has(`${name}.${tensor}`);
  const ints = (tensor: string) => file.readI32(`${name}.${tensor}`);
  const floats = (tensor: string) => file.readF32(`${name}.${tensor}`);
  return {
    indices: has('indices') ? await ints('indices') : new Int32Array(0),
    delta: has('delta') ? await floats('delta') : new Float32Array(0),
    ...(has('columns') && { columns: await ints('columns'), columnDelta: await floats('column_delta') }),
    ...(biases && { biasDelta: await floats('bias_delta') }),
    outFeatures,
    inFeatures,
  };
}

/** Of rows in memory. */
export const sizesOf = (delta: RowDelta): ReadonlyMap<string, ModuleSize> =>
  new Map(
    Array.from(delta, ([name, { indices, columns, biasDelta, outFeatures, inFeatures }]) => [
      name,
      { rows: indices.length, columns: columns?.length ?? 0, biases: biasDelta !== undefined, outFeatures, inFeatures },
    ]),
  );
