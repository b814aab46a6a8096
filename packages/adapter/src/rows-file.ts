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

/**
 * Reads and checks a row-delta file; modules in the order of their names. Throws AdapterError `bad_rows` or `other_base`, and ModelError when it
 * is no safetensors file. Nothing of it is trusted: rows ascend, are unique and inside the matrix, values are finite, shapes agree, nothing is left over.
 */
export async function readRows(path: string, { baseSha256, label = rowsFileName }: ReadRowsOptions): Promise<RowDelta> {
  const file = await openSafetensors(path, label);
  try {
    const { metadata } = file.header;
    if (metadata['format'] !== rowsFormat) throw new AdapterError('bad_rows', `${label}: is not a ${rowsFormat} file`);
    if (metadata['base_sha256'] !== baseSha256)
      throw new AdapterError('other_base', `${label}: belongs to the base model ${metadata['base_sha256']}, this one is ${baseSha256}`);
    const shapes = shapesOf(metadata['shapes'], label);
    const delta = new Map<string, ModuleRows>();
    for (const [name, [outFeatures, inFeatures]] of shapes) delta.set(name, await readModule(file, name, outFeatures, inFeatures, label));
    checkRowDelta(delta, label);
    const tensorsOf = ({ indices, columns, biasDelta }: ModuleRows) =>
      (indices.length > 0 ? 2 : 0) + (columns ? 2 : 0) + (biasDelta ? 1 : 0);
    const known = Array.from(delta.values(), tensorsOf).reduce((sum, count) => sum + count, 0);
    if (file.tensors.size !== known)
      throw new AdapterError('bad_rows', `${label}: ${file.tensors.size} tensors for ${shapes.length} modules`);
    return delta;
  } finally {
    await file.close();
  }
}

function shapesOf(text: string | undefined, label: string): [string, [number, number]][] {
  try {
    const shapes = parseAs(Shapes, JSON.parse(text ?? 'null'), `${label}: shapes`);
    return Object.entries(shapes).sort(([a], [b]) => (a < b ? -1 : 1));
  } catch (cause) {
    throw new AdapterError('bad_rows', `${label}: the header's shapes cannot be read (${(cause as Error).message})`, { cause });
  }
}

async function readModule(
  file: SafetensorsFile,
  name: string,
  outFeatures: number,
  inFeatures: number,
  label: string,
): Promise<ModuleRows> {
  const expect = (tensor: string, dtype: string, fits: (shape: readonly number[]) => boolean) => {
    const info = file.tensors.get(tensor);
    if (!info) throw new AdapterError('bad_rows', `${label}: lacks ${tensor}`);
    if (info.dtype !== dtype || !fits(info.shape))
      throw new AdapterError(
        'bad_rows',
        `${label}: ${tensor} is ${info.dtype} [${info.shape}], which does not fit [${outFeatures}, ${inFeatures}]`,
      );
    return info.shape;
  };
  const read = async (indices: string, delta: string, width: number) => {
    const [count] = expect(indices, 'I32', (shape) => shape.length === 1);
    expect(delta, 'F32', (shape) => shape.length === 2 && shape[0] === count && shape[1] === width);
    return [await file.readI32(indices), await file.readF32(delta)] as const;
  };
  const has = (...tensors: string[]) => tensors.some((tensor) => file.tensors.has(`${name}.${tensor}`));
  const hasColumns = has('columns', 'column_delta');
  const nothing = [new Int32Array(0), new Float32Array(0)] as const;
  const [indices, delta] = hasColumns && !has('indices', 'delta') ? nothing : await read(`${name}.indices`, `${name}.delta`, inFeatures);
  const bias: Partial<ModuleRows> = {};
  if (has('bias_delta')) {
    expect(`${name}.bias_delta`, 'F32', (shape) => shape.length === 1 && shape[0] === indices.length);
    Object.assign(bias, { biasDelta: await file.readF32(`${name}.bias_delta`) });
  }
  if (!hasColumns) return { indices, delta, ...bias, outFeatures, inFeatures };
  const [columns, columnDelta] = await read(`${name}.columns`, `${name}.column_delta`, outFeatures);
  return { indices, delta, columns, columnDelta, ...bias, outFeatures, inFeatures };
}
