/** A classifier's heads, trained whole: PEFT stores such modules as they are (`modules_to_save`), not as an update. */
import { biasesKey, type ModuleRows, type RowDelta } from '@rowsmith/contracts';
import type { SafetensorsFile, TensorToWrite } from '@rowsmith/hf';
import { AdapterError } from './errors.js';

/** What the update of a head is added to; zeros where the base had none. weight: [out, in], bias: [out]. */
export interface BaseHead {
  readonly weight: Float32Array;
  readonly bias: Float32Array;
}
/** By module name. */
export type BaseHeads = ReadonlyMap<string, BaseHead>;

/** Name in `modules_to_save`: PEFT compares ends of names, and a pooler is saved with all that is in it. */
export const savedModule = (name: string): string => name.replace(/\.dense$/, '').replace(/^.*\./, '');

export interface SplitRows {
  /** What becomes a LoRA. */
  readonly layers: RowDelta;
  readonly heads: RowDelta;
}

export function splitRows(delta: RowDelta, heads: BaseHeads | undefined): SplitRows {
  const of = (whole: boolean) => new Map([...delta].filter(([name]) => (heads?.has(name) ?? false) === whole));
  return { layers: of(false), heads: of(true) };
}

/** f32(W + D) and f32(b + d) of every head. Throws AdapterError `bad_rows` where not all of a head was trained. */
export function savedTensors(heads: RowDelta, base: BaseHeads, prefix: string): Map<string, TensorToWrite> {
  const tensors = new Map<string, TensorToWrite>();
  for (const [name, { indices, delta, biasDelta, outFeatures, inFeatures }] of heads) {
    const { weight, bias } = base.get(name) as BaseHead;
    if (indices.length !== outFeatures || weight.length !== delta.length || bias.length !== biasDelta?.length)
      throw new AdapterError('bad_rows', `${name}: a head is trained whole, rows and biases`);
    tensors.set(`${prefix}${name}.weight`, { shape: [outFeatures, inFeatures], data: sum(weight, delta) });
    tensors.set(`${prefix}${name}.bias`, { shape: [outFeatures], data: sum(bias, biasDelta) });
  }
  return tensors;
}

const sum = (base: Float32Array, update: Float32Array): Float32Array => base.map((value, i) => value + (update[i] as number));

/** Largest difference between a stored head and what the trained model holds. Throws AdapterError `bad_export`. */
export async function headError(
  file: SafetensorsFile,
  name: string,
  { outFeatures, inFeatures }: ModuleRows,
  tunedRows: ReadonlyMap<string, Float32Array>,
  prefix: string,
): Promise<number> {
  const parts = [
    [`${prefix}${name}.weight`, [outFeatures, inFeatures], tunedRows.get(name)],
    [`${prefix}${name}.bias`, [outFeatures], tunedRows.get(biasesKey(name))],
  ] as const;
  let worst = 0;
  for (const [tensor, shape, tuned] of parts) {
    const info = file.tensors.get(tensor);
    if (info?.dtype !== 'F32' || info.shape.join() !== shape.join())
      throw new AdapterError('bad_export', `${tensor} is ${info ? `${info.dtype} [${info.shape}]` : 'missing'}, expected F32 [${shape}]`);
    const stored = await file.readF32(tensor);
    if (tuned?.length !== stored.length) throw new AdapterError('bad_export', `${name} was not trained whole`);
    // NaN stays NaN.
    stored.forEach((value, i) => {
      worst = Math.max(worst, Math.abs(value - (tuned[i] as number)));
    });
  }
  return worst;
}
