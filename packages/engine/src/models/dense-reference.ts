/**
 * The same decoder written again for tests, as plainly as possible, in tfjs-core operators that differentiate themselves: one sequence at a time, one
 * matrix per linear, one head at a time, the whole [T, T] score matrix, logits of every position. Only for tiny shapes.
 */
import type { TensorFlow } from '@rowsmith/native';
import type * as tfjs from '@tensorflow/tfjs-node-gpu';
import type { Batch } from './causal-lm.js';
import { linearsOf } from './layout.js';
import type { ModelInMemory } from './weights.js';

type Tf = TensorFlow;
type Matrices = ReadonlyMap<string, tfjs.Tensor2D>;

export interface DenseResult {
  /** Sum over labelled tokens. */
  readonly loss: number;
  /** Gradient of the sum with respect to each linear's whole matrix, row-major, by linear name. */
  readonly gradients: ReadonlyMap<string, Float32Array>;
}

export function denseLossAndGradients(tf: Tf, model: ModelInMemory, batch: Batch): DenseResult {
  const before = tf.getBackend();
  tf.setBackend('cpu');
  try {
    tf.engine().startScope();
    const linears = linearsOf(model.config);
    const start = linears.map(({ tensor, rowOffset, outFeatures, inFeatures }) => {
      const all = model.tensors.get(tensor) as Float32Array;
      return tf.tensor2d(all.slice(rowOffset * inFeatures, (rowOffset + outFeatures) * inFeatures), [outFeatures, inFeatures]);
    });
    const lossOf = (...values: tfjs.Tensor[]): tfjs.Scalar => {
      const matrices = new Map(linears.map(({ name }, i) => [name, values[i] as tfjs.Tensor2D]));
      return batchLoss(tf, model, matrices, batch);
    };
    const { value, grads } = tf.valueAndGrads(lossOf)(start);
    return {
      loss: value.dataSync()[0] as number,
      gradients: new Map(linears.map(({ name }, i) => [name, grads[i]?.dataSync().slice() as Float32Array])),
    };
  } finally {
    tf.engine().endScope();
    tf.setBackend(before);
  }
}

/** Sum over the tokens of one sequence of the squares of each linear's input, [in], by linear name. */
export function denseInputSquares(tf: Tf, model: ModelInMemory, ids: Int32Array): ReadonlyMap<string, Float32Array> {
  const before = tf.getBackend();
  tf.setBackend('cpu');
  try {
    tf.engine().startScope();
    const matrices = new Map(
      linearsOf(model.config).map(({ name, tensor, rowOffset, outFeatures, inFeatures }) => {
        const all = model.tensors.get(tensor) as Float32Array;
        const own = all.slice(rowOffset * inFeatures, (rowOffset + outFeatures) * inFeatures);
        return [name, tf.tensor2d(own, [outFeatures, inFeatures])] as const;
      }),
    );
    const squares = new Map<string, Float32Array>();
    sequenceLogits(tf, model, matrices, ids, (name, input) => squares.set(name, input.square().sum(0).dataSync().slice() as Float32Array));
    return squares;
  } finally {
    tf.engine().endScope();
    tf.setBackend(before);
  }
}

function batchLoss(tf: Tf, model: ModelInMemory, matrices: Matrices, { size, length, ids, labels }: Batch): tfjs.Scalar {
  let total = tf.scalar(0);
  for (let b = 0; b < size; b++) {
    const logProbabilities = tf.logSoftmax(sequenceLogits(tf, model, matrices, ids.slice(b * length, (b + 1) * length)));
    for (let t = 1; t < length; t++) {
      const label = labels[b * length + t] as number;
      if (label !== -100) total = total.sub(logProbabilities.slice([t - 1, label], [1, 1]).sum()) as tfjs.Scalar;
    }
  }
  return total;
}

function sequenceLogits(
  tf: Tf,
  { config, tensors }: ModelInMemory,
  matrices: Matrices,
  ids: Int32Array,
  seen: (linear: string, input: tfjs.Tensor2D) => void = () => undefined,
): tfjs.Tensor2D {
  const { hidden_size: C, n_heads: H, n_kv_heads: K, head_dim: D, vocab_size: V } = config;
  const T = ids.length;
  const vector = (name: string) => tf.tensor1d(tensors.get(name) as Float32Array);
  const embed = tf.tensor2d(tensors.get('embed') as Float32Array, [V, C]);
  const head = config.tie_embeddings ? embed : tf.tensor2d(tensors.get('lm_head') as Float32Array, [V, C]);
  const norm = (x: tfjs.Tensor2D, weight: tfjs.Tensor1D): tfjs.Tensor2D =>
    x.div(x.square().mean(1, true).add(config.norm_eps).sqrt()).mul(weight);
  const hidden = tf.range(0, T).expandDims(1).greaterEqual(tf.range(0, T).expandDims(0));

  let x = tf.gather(embed, tf.tensor1d(Array.from(ids), 'int32'));
  for (let layer = 0; layer < config.n_layers; layer++) {
    const linear = (input: tfjs.Tensor2D, module: string): tfjs.Tensor2D => {
      const name = `model.layers.${layer}.${module}`;
      seen(name, input);
      return tf.matMul(input, matrices.get(name) as tfjs.Tensor2D, false, true);
    };
    const h = norm(x, vector(`layers.${layer}.attn_norm`));
    const q = linear(h, 'self_attn.q_proj');
    const k = linear(h, 'self_attn.k_proj');
    const v = linear(h, 'self_attn.v_proj');
    const heads: tfjs.Tensor2D[] = [];
    for (let i = 0; i < H; i++) {
      const shared = Math.floor(i / (H / K));
      const queries = rotate(tf, q.slice([0, i * D], [T, D]), config.rope_theta);
      const keys = rotate(tf, k.slice([0, shared * D], [T, D]), config.rope_theta);
      const scores = tf.matMul(queries, keys, false, true).div(Math.sqrt(D));
      const causal = tf.where(hidden, scores, tf.fill([T, T], Number.NEGATIVE_INFINITY));
      heads.push(tf.matMul(tf.softmax(causal), v.slice([0, shared * D], [T, D])));
    }
    x = x.add(linear(tf.concat(heads, 1), 'self_attn.o_proj'));
    const m = norm(x, vector(`layers.${layer}.mlp_norm`));
    const gate = linear(m, 'mlp.gate_proj');
    x = x.add(linear(gate.mul(gate.sigmoid()).mul(linear(m, 'mlp.up_proj')), 'mlp.down_proj'));
  }
  return tf.matMul(norm(x, vector('final_norm')), head, false, true);
}

/** x cos + rotate_half(x) sin, as Hugging Face's Llama writes it. */
function rotate(tf: Tf, x: tfjs.Tensor2D, theta: number): tfjs.Tensor2D {
  const [T, D] = x.shape;
  const frequencies = Array.from({ length: D }, (_, i) => theta ** (-(2 * (i % (D / 2))) / D));
  const angles = tf.outerProduct(tf.range(0, T), tf.tensor1d(frequencies));
  const first = x.slice([0, 0], [T, D / 2]);
  const second = x.slice([0, D / 2], [T, D / 2]);
  return x.mul(angles.cos()).add(tf.concat([second.neg(), first], 1).mul(angles.sin()));
}
