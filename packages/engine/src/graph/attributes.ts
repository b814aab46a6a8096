import { EngineError } from '../errors.js';
import { type Attribute, dtypeCode } from '../runtime/binding.js';
import type { DType, Handle } from '../runtime/handle.js';
import type { AttrValue, ShapeProto } from './saved-model.js';

/** Type attributes that eager execution infers from an input and a graph must name: attribute, and the input that has it (-1: the last). */
type Inferred = Readonly<Record<string, number>>;

const likeFirst: Inferred = { T: 0 };
const reduction: Inferred = { T: 0, Tidx: 1 };
const named = (names: string, inferred: Inferred) => names.split(' ').map((name) => [name, inferred] as const);

const inferredOf: ReadonlyMap<string, Inferred> = new Map([
  ...named('Abs Square Sqrt Rsqrt Exp Sigmoid Cos Sin Tanh Erf LogSoftmax Softmax DeepCopy Identity', likeFirst),
  ...named('AddV2 Sub Mul RealDiv SigmoidGrad Less MatMul BatchMatMulV2', likeFirst),
  ...named('Sum Mean Max ArgMax ReverseV2', reduction),
  ...named('AddN', {}),
  ['Cast', { SrcT: 0 }],
  ['ConcatV2', { Tidx: -1 }],
  ['Reshape', { T: 0, Tshape: 1 }],
  ['Transpose', { T: 0, Tperm: 1 }],
  ['Slice', { T: 0, Index: 1 }],
  ['GatherV2', { Tparams: 0, Tindices: 1, Taxis: 2 }],
  ['Fill', { T: 1, index_type: 0 }],
  ['ScatterNd', { T: 1, Tindices: 0 }],
  ['StatelessRandomUniform', { T: 0, Tseed: 1 }],
  ['SparseSoftmaxCrossEntropyWithLogits', { T: 0, Tlabels: 1 }],
]);

/** All attributes of a node that have no default. Throws EngineError `tensorflow` for an operator that graphs do not know. */
export function attributesOf(op: string, inputs: readonly Handle[], given: readonly Attribute[]): Record<string, AttrValue> {
  const inferred = inferredOf.get(op);
  if (!inferred) throw new EngineError('infra', 'tensorflow', `graph mode does not know the operator ${op}`);
  const attributes: Record<string, AttrValue> = {};
  for (const [name, at] of Object.entries(inferred)) attributes[name] = typeValue((inputs.at(at) as Handle).dtype);
  for (const attribute of given) attributes[attribute.name] = attrValueOf(attribute);
  return attributes;
}

export const typeValue = (dtype: DType): AttrValue => ({ type: dtypeCode[dtype] });
export const shapeProto = (shape: readonly number[]): ShapeProto => ({ dim: shape.map((size) => ({ size })) });

/** type: TF_AttrType of c_api.h. */
function attrValueOf({ name, type, value }: Attribute): AttrValue {
  if (typeof value === 'string') return { s: new TextEncoder().encode(value) };
  if (typeof value === 'boolean') return { b: value };
  if (typeof value === 'number') return type === 1 ? { i: value } : type === 4 ? { type: value } : { f: value };
  if (type === 5) return { shape: shapeProto(value) };
  if (type === 2) return { list: { f: value } };
  throw new EngineError('infra', 'tensorflow', `graph mode cannot express the attribute ${name}`);
}
