/** What encoders need beyond the decoder's parts, composed of stock operators. */
import type { Handle } from '../runtime/handle.js';
import type { Operators } from './operators.js';

/** 1 / sqrt(var(x) + eps) and (x - mean(x)) times it: [N, C] → [N, 1], [N, C] */
function standardised(o: Operators, x: Handle, eps: number): { r: Handle; unit: Handle } {
  const centred = o.binary('Sub', x, o.reduceKeep('Mean', x, -1));
  const variance = o.reduceKeep('Mean', o.unary('Square', centred), -1);
  const r = o.unary('Rsqrt', o.binary('AddV2', variance, o.runtime.literal(eps)));
  return { r, unit: o.binary('Mul', centred, r) };
}

/** LayerNorm (Ba, Kiros, Hinton, arXiv 1607.06450). */
export function layerNorm(o: Operators, x: Handle, weight: Handle, bias: Handle, eps: number): Handle {
  return o.runtime.scope((keep) => keep(o.binary('AddV2', o.binary('Mul', standardised(o, x, eps).unit, weight), bias)));
}

/** y = n w + b with n = (x - mean(x)) r. Let u = dy w; then dx = r (u - mean(u) - n mean(u n)). */
export function layerNormBackward(o: Operators, dy: Handle, x: Handle, weight: Handle, eps: number): Handle {
  return o.runtime.scope((keep) => {
    const { r, unit } = standardised(o, x, eps);
    const u = o.binary('Mul', dy, weight);
    const along = o.binary('Mul', unit, o.reduceKeep('Mean', o.binary('Mul', u, unit), -1));
    const across = o.binary('Sub', u, o.reduceKeep('Mean', u, -1));
    return keep(o.binary('Mul', r, o.binary('Sub', across, along)));
  });
}

/** The normal distribution function (1 + erf(x / sqrt 2)) / 2. */
function normalShare(o: Operators, x: Handle): Handle {
  const erf = o.unary('Erf', o.binary('Mul', x, o.runtime.literal(Math.SQRT1_2)));
  return o.binary('Mul', o.binary('AddV2', erf, o.runtime.literal(1)), o.runtime.literal(0.5));
}

/** gelu = x Phi(x) (Hendrycks & Gimpel, arXiv 1606.08415). */
export function gelu(o: Operators, x: Handle): Handle {
  return o.runtime.scope((keep) => keep(o.binary('Mul', x, normalShare(o, x))));
}

/** gelu' = Phi(x) + x phi(x), phi the normal density. */
export function geluBackward(o: Operators, dy: Handle, x: Handle): Handle {
  return o.runtime.scope((keep) => {
    const density = o.unary('Exp', o.binary('Mul', o.unary('Square', x), o.runtime.literal(-0.5)));
    const slope = o.binary('Mul', o.binary('Mul', x, density), o.runtime.literal(1 / Math.sqrt(2 * Math.PI)));
    return keep(o.binary('Mul', dy, o.binary('AddV2', normalShare(o, x), slope)));
  });
}

/** dx of y = tanh(x) from y: dy (1 - y^2). */
export function tanhBackward(o: Operators, dy: Handle, y: Handle): Handle {
  return o.runtime.scope((keep) => keep(o.binary('Mul', dy, o.binary('Sub', o.runtime.literal(1), o.unary('Square', y)))));
}

/** Finite, so that no NaN can arise from it; exp() of it is exactly 0. */
const masked = -1e30;
/** Of one matrix of probabilities; four of them are alive at a time. */
const chunkBytes = 16 * 2 ** 20;

/** [first, count] of sequences whose probabilities [b, H, T, T] are held at a time. */
function chunksOf(q: Handle): readonly (readonly [first: number, count: number])[] {
  const [sequences = 0, heads = 1, length = 1] = q.shape;
  const step = Math.max(1, Math.floor(chunkBytes / (4 * heads * length * length)));
  return Array.from({ length: Math.ceil(sequences / step) }, (_, i) => [i * step, Math.min(step, sequences - i * step)]);
}

const part = (o: Operators, x: Handle, [first, count]: readonly [number, number]): Handle =>
  count === x.shape[0] ? x : o.slice(x, [first, 0, 0, 0], [count, -1, -1, -1]);

function probabilities(o: Operators, q: Handle, k: Handle, counts: Handle): Handle {
  const [sequences = 0, , length = 0] = q.shape;
  return o.runtime.scope((keep) => {
    const positions = o.runtime.upload(
      Int32Array.from({ length }, (_, t) => t),
      [length],
      'i32',
    );
    const real = o.cast(o.binary('Less', positions, o.reshape(counts, [sequences, 1, 1, 1])), 'f32'); // [b, 1, 1, T]
    const hidden = o.binary('Mul', o.binary('Sub', o.runtime.literal(1), real), o.runtime.literal(masked));
    return keep(o.unary('Softmax', o.binary('AddV2', o.batchMatMul(q, k, 'y'), hidden)));
  });
}

/** Every query sees the first counts[b] keys of its sequence. q (scaled), k, v: [B, H, T, D], counts: [B] i32 → [B, H, T, D] */
export function paddedAttention(o: Operators, q: Handle, k: Handle, v: Handle, counts: Handle): Handle {
  return o.runtime.scope((keep) => {
    const outs = chunksOf(q).map((at) =>
      o.runtime.scope((keepPart) => {
        const seen = o.slice(counts, [at[0]], [at[1]]);
        return keepPart(o.batchMatMul(probabilities(o, part(o, q, at), part(o, k, at), seen), part(o, v, at)));
      }),
    );
    return keep(o.concat(outs, 0));
  });
}

/** P again; dV = P^T dO; dS = P (dO V^T - rowsum(dO O)); dQ = dS K; dK = dS^T Q (Dao et al., arXiv 2205.14135, appendix B). */
export function paddedAttentionBackward(
  o: Operators,
  dOut: Handle,
  { q, k, v, out }: { q: Handle; k: Handle; v: Handle; out: Handle },
  counts: Handle,
): { dq: Handle; dk: Handle; dv: Handle } {
  return o.runtime.scope((keep) => {
    const parts = chunksOf(q).map((at) =>
      o.runtime.scope((keepPart) => {
        const [queries, keys, values, dO] = [q, k, v, dOut].map((x) => part(o, x, at)) as [Handle, Handle, Handle, Handle];
        const p = probabilities(o, queries, keys, o.slice(counts, [at[0]], [at[1]]));
        const rowSums = o.reduceKeep('Sum', o.binary('Mul', dO, part(o, out, at)), -1);
        const dScores = o.binary('Mul', p, o.binary('Sub', o.batchMatMul(dO, values, 'y'), rowSums));
        return {
          dq: keepPart(o.batchMatMul(dScores, keys)),
          dk: keepPart(o.batchMatMul(dScores, queries, 'x')),
          dv: keepPart(o.batchMatMul(p, dO, 'x')),
        };
      }),
    );
    const joined = (name: 'dq' | 'dk' | 'dv') =>
      keep(
        o.concat(
          parts.map((each) => each[name]),
          0,
        ),
      );
    return { dq: joined('dq'), dk: joined('dk'), dv: joined('dv') };
  });
}

/** loss: [B] nats, predicted: [B] i32, dLogits: [B, n] of the sum of losses. logits: [B, n], labels: [B] i32. */
export function classEntropy(o: Operators, logits: Handle, labels: Handle): { loss: Handle; predicted: Handle; dLogits: Handle } {
  const [loss, dLogits] = o.runtime.executeMany('SparseSoftmaxCrossEntropyWithLogits', [logits, labels], 2) as [Handle, Handle];
  return { loss, predicted: o.argMax(logits), dLogits };
}
