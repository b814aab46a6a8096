import { type Attribute, attribute } from '../runtime/binding.js';
import type { Handle } from '../runtime/handle.js';
import type { Runtime } from '../runtime/runtime.js';

const transposeA: readonly Attribute[] = [attribute.bool('transpose_a', true)];
const transposeB: readonly Attribute[] = [attribute.bool('transpose_b', true)];
const adjointX: readonly Attribute[] = [attribute.bool('adj_x', true)];
const adjointY: readonly Attribute[] = [attribute.bool('adj_y', true)];
const keepDims: readonly Attribute[] = [attribute.bool('keep_dims', true)];
const argMaxI32: readonly Attribute[] = [attribute.dtype('output_type', 'i32')];

const castTo: Readonly<Record<'f32' | 'bf16', readonly Attribute[]>> = {
  f32: [attribute.dtype('DstT', 'f32')],
  bf16: [attribute.dtype('DstT', 'bf16')],
};

/** Eager TensorFlow does not infer the attributes of list inputs before it picks a kernel. */
const listOf = (parts: readonly Handle[]): readonly Attribute[] => [
  attribute.int('N', parts.length),
  attribute.dtype('T', parts[0]?.dtype ?? 'f32'),
];

/** Stock TensorFlow operators under short names; shapes as TensorFlow documents them. Dispatch costs 9 to 18 us each: count them. */
export class Operators {
  constructor(readonly runtime: Runtime) {}

  unary(
    op: 'Abs' | 'Square' | 'Sqrt' | 'Rsqrt' | 'Exp' | 'Sigmoid' | 'Cos' | 'Sin' | 'Tanh' | 'Erf' | 'LogSoftmax' | 'Softmax' | 'DeepCopy',
    x: Handle,
  ): Handle {
    return this.runtime.execute(op, [x]);
  }

  binary(op: 'AddV2' | 'Sub' | 'Mul' | 'RealDiv' | 'SigmoidGrad' | 'Less', a: Handle, b: Handle): Handle {
    return this.runtime.execute(op, [a, b]);
  }

  cast(x: Handle, to: 'f32' | 'bf16'): Handle {
    return this.runtime.execute('Cast', [x], castTo[to]);
  }

  /** Sizes of a batch change from step to step: uploaded, freed with the scope. */
  sizes(values: readonly number[]): Handle {
    return this.runtime.upload(Int32Array.from(values), [values.length], 'i32');
  }

  addN(parts: readonly Handle[]): Handle {
    return this.runtime.execute('AddN', parts, listOf(parts));
  }

  /** One axis, kept with size 1. */
  reduceKeep(op: 'Sum' | 'Mean' | 'Max', x: Handle, axis: number): Handle {
    return this.runtime.execute(op, [x, this.runtime.axis(axis)], keepDims);
  }

  reduce(op: 'Sum', x: Handle, ...axes: number[]): Handle {
    return this.runtime.execute(op, [x, this.runtime.constant(...axes)]);
  }

  argMax(x: Handle): Handle {
    return this.runtime.execute('ArgMax', [x, this.runtime.axis(-1)], argMaxI32);
  }

  reshape(x: Handle, shape: readonly number[]): Handle {
    return this.runtime.execute('Reshape', [x, this.sizes(shape)]);
  }

  transpose(x: Handle, ...permutation: number[]): Handle {
    return this.runtime.execute('Transpose', [x, this.runtime.constant(...permutation)]);
  }

  /** size -1: to the end. */
  slice(x: Handle, begin: readonly number[], size: readonly number[]): Handle {
    return this.runtime.execute('Slice', [x, this.sizes(begin), this.sizes(size)]);
  }

  concat(parts: readonly Handle[], axis: number): Handle {
    const [only] = parts;
    if (only && parts.length === 1) return this.runtime.execute('Identity', [only]);
    return this.runtime.execute('ConcatV2', [...parts, this.runtime.axis(axis)], listOf(parts));
  }

  gather(x: Handle, ids: Handle, axis: number): Handle {
    return this.runtime.execute('GatherV2', [x, ids, this.runtime.axis(axis)]);
  }

  reverse(x: Handle, axis: number): Handle {
    return this.runtime.execute('ReverseV2', [x, this.runtime.constant(axis)]);
  }

  matMul(a: Handle, b: Handle, transposed?: 'a' | 'b'): Handle {
    return this.runtime.execute('MatMul', [a, b], transposed === 'a' ? transposeA : transposed === 'b' ? transposeB : undefined);
  }

  batchMatMul(x: Handle, y: Handle, adjoint?: 'x' | 'y'): Handle {
    return this.runtime.execute('BatchMatMulV2', [x, y], adjoint === 'x' ? adjointX : adjoint === 'y' ? adjointY : undefined);
  }
}
