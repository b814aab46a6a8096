/** Proof that a LoRA folder on disk means the trained weights: it is read back as another program would read it. */
import type { RowDelta } from '@rowsmith/contracts';
import { openSafetensors, type SafetensorsFile } from '@rowsmith/hf';
import { AdapterError } from './errors.js';
import { oneHotRows } from './one-hot.js';
import { readPeftConfig } from './peft-config.js';
import { peftPrefix } from './peft-export.js';

export interface VerifyInput {
  /** Paths of adapter_config.json and adapter_model.safetensors. */
  readonly configPath: string;
  readonly weightsPath: string;
  /** What was trained: gives names, shapes and indices. */
  readonly delta: RowDelta;
  /** Rows of the untouched base, read apart from the trainer. [r, in] f32 by module. */
  readonly baseRows: (module: string) => Promise<Float32Array>;
  /** Rows as the trained model holds them, the ones its losses were computed with. [r, in] f32 by module. */
  readonly tunedRows: ReadonlyMap<string, Float32Array>;
}
export interface Verification {
  readonly max_abs_error: number;
  readonly modules: number;
}

/**
 * W_export = f32(W + scale * B·A) for every tuned matrix, compared with the trained rows; max_abs_error is the largest difference. Rows that were not
 * selected need no arithmetic: their rows of B are checked to be zero, so W_export = W there. Throws AdapterError `bad_export` (a file is not what was
 * written) or `export_differs` (any difference above 0).
 */
export async function verifyPeftExport(input: VerifyInput): Promise<Verification> {
  const { rank, scale } = await readPeftConfig(input.configPath);
  const file = await openSafetensors(input.weightsPath);
  try {
    let worst = 0;
    let at = '';
    for (const name of input.delta.keys()) {
      const error = await moduleError(file, name, rank, scale, input);
      if (error !== 0 && at === '') at = name;
      worst = Math.max(worst, error); // NaN stays NaN
    }
    if (file.tensors.size !== 2 * input.delta.size)
      throw new AdapterError('bad_export', `the export has ${file.tensors.size} tensors for ${input.delta.size} modules`);
    if (worst !== 0) throw new AdapterError('export_differs', `the export differs from the trained rows by up to ${worst}, first in ${at}`);
    return { max_abs_error: worst, modules: input.delta.size };
  } finally {
    await file.close();
  }
}

async function moduleError(file: SafetensorsFile, name: string, rank: number, scale: number, input: VerifyInput): Promise<number> {
  const rows = input.delta.get(name);
  const tuned = input.tunedRows.get(name);
  if (!rows || !tuned) throw new AdapterError('bad_export', `${name} was not trained`);
  const { indices, inFeatures, outFeatures } = rows;
  const read = async (tensor: string, shape: readonly number[]) => {
    const info = file.tensors.get(tensor);
    if (info?.dtype !== 'F32' || info.shape.join() !== shape.join())
      throw new AdapterError('bad_export', `${tensor} is ${info ? `${info.dtype} [${info.shape}]` : 'missing'}, expected F32 [${shape}]`);
    return file.readF32(tensor);
  };
  const a = await read(`${peftPrefix}${name}.lora_A.weight`, [rank, inFeatures]);
  const b = await read(`${peftPrefix}${name}.lora_B.weight`, [outFeatures, rank]);
  const places = oneHotRows(b, outFeatures, rank, name);
  if (places.length !== indices.length || places.some(({ row }, k) => row !== indices[k]))
    throw new AdapterError('bad_export', `lora_B of ${name} names other rows than were trained`);
  const base = await input.baseRows(name);
  let worst = 0;
  places.forEach(({ column }, k) => {
    for (let j = 0; j < inFeatures; j++) {
      // One product of the sum over the rank is not zero, and it is times 1: B·A is A's row, without rounding.
      const exported = Math.fround((base[k * inFeatures + j] as number) + Math.fround(scale * (a[column * inFeatures + j] as number)));
      const error = Math.abs(exported - (tuned[k * inFeatures + j] as number));
      worst = Math.max(worst, error);
    }
  });
  return worst;
}
