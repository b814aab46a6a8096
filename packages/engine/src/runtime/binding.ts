import type { DType } from './handle.js';

/** What the native addon of tfjs-node offers on integer handles; only the members that the engine calls. */
export interface TensorFlowBinding {
  createTensor(shape: readonly number[], dtype: number, data: Float32Array | Int32Array | Uint8Array): number;
  deleteTensor(id: number): void;
  tensorDataSync(id: number): Float32Array | Int32Array | Uint8Array | BigInt64Array;
  executeOp(name: string, attributes: readonly Attribute[], inputs: readonly number[], outputs: number): readonly TensorInfo[];
  getNumOfTensors(): number;
  isUsingGpuDevice(): boolean;
  /** tags, and below names `node:output`: joined by commas. */
  loadSavedModel(folder: string, tags: string): number;
  runSavedModel(id: number, inputs: readonly number[], inputNames: string, outputNames: string): readonly TensorInfo[];
  deleteSavedModel(id: number): void;
  getNumOfSavedModels(): number;
  readonly TF_Version: string;
}

export interface TensorInfo {
  readonly id: number;
  readonly shape: readonly number[];
  readonly dtype: number;
}

export interface Attribute {
  readonly name: string;
  readonly type: number;
  readonly value: string | number | boolean | readonly number[];
}

/** Codes of TensorFlow's DataType (types.proto). */
export const dtypeCode = { f32: 1, i32: 3, u8: 4, i64: 9, bool: 10, bf16: 14 } as const satisfies Record<DType, number>;

export function dtypeOfCode(code: number): DType {
  for (const dtype of ['f32', 'i32', 'u8', 'i64', 'bool', 'bf16'] as const) if (dtypeCode[dtype] === code) return dtype;
  throw new TypeError(`TensorFlow returned a tensor of dtype ${code}, which the engine does not use`);
}

/** Codes of TF_AttrType (c_api.h). Implied and default attributes may be left out of a call. */
export const attribute = {
  string: (name: string, value: string): Attribute => ({ name, type: 0, value }),
  int: (name: string, value: number): Attribute => ({ name, type: 1, value }),
  float: (name: string, value: number): Attribute => ({ name, type: 2, value }),
  floats: (name: string, value: readonly number[]): Attribute => ({ name, type: 2, value }),
  bool: (name: string, value: boolean): Attribute => ({ name, type: 3, value }),
  dtype: (name: string, value: DType): Attribute => ({ name, type: 4, value: dtypeCode[value] }),
  shape: (name: string, value: readonly number[]): Attribute => ({ name, type: 5, value }),
};
