import { EngineError } from '../errors.js';
import type { StockOps } from '../ops/stock-ops.js';
import type { Quantization } from '../quant/formats.js';
import type { Handle } from '../runtime/handle.js';
import { checkColumns, checkIndices } from './batch.js';
import type { LinearInfo } from './causal-lm.js';
import { readColumns, writeColumns } from './columns.js';
import type { ModelTensors } from './weights.js';

/** Reading and writing the parts of a model's linears; see TrainableModel. */
export class LinearAccess {
  constructor(
    protected readonly ops: StockOps,
    protected readonly weights: ModelTensors,
  ) {}

  readRows(linear: LinearInfo, indices: Int32Array): Float32Array {
    checkIndices(linear, indices);
    if (indices.length === 0) return new Float32Array(0);
    const quantised = this.#quantised(linear);
    if (quantised) return quantised.readRows(linear, indices);
    const { runtime } = this.ops;
    return runtime.scope(() => runtime.readF32(this.ops.gatherRows(this.weights.get(linear.tensor), this.#packedRows(linear, indices))));
  }

  writeRows(linear: LinearInfo, indices: Int32Array, rows: Handle): void {
    checkIndices(linear, indices);
    this.#checkWritable(linear);
    if (rows.shape.join() !== [indices.length, linear.inFeatures].join())
      throw new EngineError(
        'user',
        'invalid_rows',
        `${linear.name}: rows of [${rows.shape}], expected [${indices.length},${linear.inFeatures}]`,
      );
    if (indices.length === 0) return;
    const quantised = this.#quantised(linear);
    if (quantised) quantised.writeRows(linear, indices, rows);
    else {
      const matrix = this.weights.get(linear.tensor);
      this.ops.runtime.scope(() => this.ops.writeRows(matrix, this.#packedRows(linear, indices), rows));
      this.ops.runtime.written(
        matrix,
        indices.map((row) => row + linear.rowOffset),
      );
    }
  }

  readColumns(linear: LinearInfo, columns: Int32Array): Float32Array {
    checkColumns(linear, columns);
    if (columns.length === 0) return new Float32Array(0);
    const quantised = this.#quantised(linear);
    if (quantised) return quantised.readColumns(linear, columns, (matrix) => readColumns(this.ops, matrix, linear, columns));
    return readColumns(this.ops, this.weights.get(linear.tensor), linear, columns);
  }

  writeColumns(linear: LinearInfo, columns: Int32Array, values: Handle): void {
    checkColumns(linear, columns);
    this.#checkWritable(linear);
    if (values.shape.join() !== [columns.length, linear.outFeatures].join())
      throw new EngineError(
        'user',
        'invalid_rows',
        `${linear.name}: columns of [${values.shape}], expected [${columns.length},${linear.outFeatures}]`,
      );
    if (columns.length === 0) return;
    const quantised = this.#quantised(linear);
    if (quantised) quantised.writeColumns(linear, columns, values);
    else {
      const matrix = this.weights.get(linear.tensor);
      writeColumns(this.ops, matrix, linear, columns, values);
      this.ops.runtime.written(matrix);
    }
  }

  readBiases(linear: LinearInfo, indices: Int32Array): Float32Array {
    checkIndices(linear, indices);
    const bias = this.weights.get(biasOf(linear));
    const { runtime } = this.ops;
    return runtime.scope(() => runtime.readF32(this.ops.gatherRows(bias, this.#packedRows(linear, indices))).slice());
  }

  writeBiases(linear: LinearInfo, indices: Int32Array, values: Handle): void {
    checkIndices(linear, indices);
    const name = biasOf(linear);
    if (!this.weights.isWritable(name))
      throw new EngineError('user', 'invalid_rows', `${linear.name}: ${name} is mapped read-only; name it in rowTensors`);
    const bias = this.weights.get(name);
    this.ops.runtime.scope(() => this.ops.writeElements(bias, this.#packedRows(linear, indices), values));
    this.ops.runtime.written(bias);
  }

  readMatrix(linear: LinearInfo): Handle {
    const { runtime, ops } = { runtime: this.ops.runtime, ops: this.ops };
    // A copy: the slice may share the weights' memory, and writeRows would change it under the caller.
    return runtime.scope((keep) => {
      const { tensor, rowOffset, outFeatures } = linear;
      const matrix = this.#quantised(linear)?.original(tensor) ?? this.weights.get(tensor);
      return keep(ops.copy(ops.sliceRows(matrix, rowOffset, outFeatures)));
    });
  }

  get quantization(): Quantization | null {
    return this.weights.quantised?.quantization ?? null;
  }

  forgetWritten(): void {
    this.weights.quantised?.restore();
  }

  /** undefined: its matrix is held as it is. */
  #quantised({ tensor }: LinearInfo) {
    const { quantised } = this.weights;
    return quantised?.has(tensor) ? quantised : undefined;
  }

  #checkWritable({ name, tensor }: LinearInfo): void {
    if (!this.weights.isWritable(tensor))
      throw new EngineError('user', 'invalid_rows', `${name}: ${tensor} is mapped read-only; name it in rowTensors`);
  }

  #packedRows(linear: LinearInfo, indices: Int32Array): Handle {
    return this.ops.runtime.upload(
      indices.map((row) => row + linear.rowOffset),
      [indices.length],
      'i32',
    );
  }
}

function biasOf({ name, bias }: LinearInfo): string {
  if (!bias) throw new EngineError('user', 'invalid_rows', `${name} has no bias`);
  return bias;
}
