import type { Handle } from '../runtime/handle.js';
import type { Operators } from './operators.js';
import type { AttentionMask, HeadShape } from './ops.js';

/** Queries of one block; small sequences waste less above the diagonal, long ones need fewer operators. */
export function attentionBlock(length: number): number {
  return length <= 256 ? 64 : length <= 1024 ? 128 : 256;
}

/** Finite, so that no NaN can arise from it; exp() of it is exactly 0. */
const masked = -1e30;

interface Block {
  /** First position and count of the queries. */
  readonly start: number;
  readonly count: number;
  /** Keys 0..end-1 are seen. */
  readonly end: number;
}

function blocksOf(length: number, block: number): Block[] {
  const blocks: Block[] = [];
  for (let start = 0; start < length; start += block) {
    const count = Math.min(block, length - start);
    blocks.push({ start, count, end: start + count });
  }
  return blocks;
}

/**
 * Masks for blocks of any sequence of at most `length`: [block*G, length] of zeros and, in the last `block` columns, the causal triangle; left of the
 * window masked again.
 */
function triangle(o: Operators, length: number, block: number, group: number, window: number): Handle {
  const values = new Float32Array(block * group * length);
  for (let row = 0; row < block * group; row++) {
    const visible = length - block + Math.floor(row / group);
    values.fill(masked, row * length + visible + 1, (row + 1) * length);
    if (window > 0) values.fill(masked, row * length, row * length + Math.max(0, visible - window + 1));
  }
  return o.runtime.upload(values, [block * group, length], 'f32');
}

/** Blockwise causal attention: scores of one block of queries against the keys up to its end, never the whole [T, T] matrix. */
export class StockAttention {
  readonly #masks = new Map<string, { readonly handle: Handle; readonly length: number }>();

  constructor(private readonly o: Operators) {}

  forward(
    q: Handle,
    k: Handle,
    v: Handle,
    shape: HeadShape,
    withLse: boolean,
    mask: AttentionMask = {},
  ): { out: Handle; lse: Handle | undefined } {
    const { o } = this;
    const group = shape.heads / shape.kvHeads;
    return o.runtime.scope((keep) => {
      const parts = blocksOf(shape.length, attentionBlock(shape.length)).map((block) =>
        o.runtime.scope((keepPart) => {
          const queries = this.#sequence(q, block.start * group, block.count * group);
          const { scores } = this.#scores(queries, this.#sequence(k, 0, block.end), shape, block, mask);
          const values = this.#sequence(v, 0, block.end);
          if (!withLse) return { out: keepPart(o.batchMatMul(o.unary('Softmax', scores), values)), lse: undefined };
          const logProbabilities = o.unary('LogSoftmax', scores);
          // Score minus log-probability is the log-sum-exp at any visible key: position 0 where all see it, else the largest.
          const visible = mask.window || mask.starts ? (x: Handle) => o.reduceKeep('Max', x, -1) : (x: Handle) => this.#firstColumn(x);
          const lse = o.binary('Sub', visible(scores), visible(logProbabilities));
          return { out: keepPart(o.batchMatMul(o.unary('Exp', logProbabilities), values)), lse: keepPart(lse) };
        }),
      );
      const out = keep(
        o.concat(
          parts.map((part) => part.out),
          2,
        ),
      );
      const sums = parts.flatMap(({ lse }) => (lse ? [lse] : []));
      return { out, lse: withLse ? keep(o.concat(sums, 2)) : undefined };
    });
  }

  /**
   * P = exp(S - lse), with a cap S = c tanh(s / c) and dS/ds = 1 - tanh^2; dV = P^T dO; dS = P (dO V^T - rowsum(dO O)); dQ = dS K; dK = dS^T Q (Dao et al., arXiv 2205.14135, appendix B).
   * From the last block to the first, so that a block's dK and dV cover a prefix of the sum so far.
   */
  backward(
    dOut: Handle,
    { q, k, v, out, lse }: { q: Handle; k: Handle; v: Handle; out: Handle; lse: Handle },
    shape: HeadShape,
    mask: AttentionMask = {},
  ): { dq: Handle; dk: Handle; dv: Handle } {
    const { o } = this;
    const group = shape.heads / shape.kvHeads;
    return o.runtime.scope((keep) => {
      const rowSums = o.reduceKeep('Sum', o.binary('Mul', dOut, out), -1);
      const dqParts: Handle[] = [];
      const dk = new PrefixSum(o);
      const dv = new PrefixSum(o);
      for (const block of blocksOf(shape.length, attentionBlock(shape.length)).reverse()) {
        const [from, rows] = [block.start * group, block.count * group];
        const part = o.runtime.scope((keepPart) => {
          const keys = this.#sequence(k, 0, block.end);
          const queries = this.#sequence(q, from, rows);
          const dO = this.#sequence(dOut, from, rows);
          const { scores, tanh } = this.#scores(queries, keys, shape, block, mask);
          const probabilities = o.unary('Exp', o.binary('Sub', scores, this.#sequence(lse, from, rows)));
          o.runtime.release(scores);
          const dProbabilities = o.batchMatMul(dO, this.#sequence(v, 0, block.end), 'y');
          const centred = o.binary('Sub', dProbabilities, this.#sequence(rowSums, from, rows));
          o.runtime.release(dProbabilities);
          const dCapped = o.binary('Mul', probabilities, centred);
          o.runtime.release(centred);
          const dScores = tanh ? o.binary('Mul', dCapped, o.binary('Sub', o.runtime.literal(1), o.unary('Square', tanh))) : dCapped;
          return {
            dq: keepPart(o.batchMatMul(dScores, keys)),
            dk: keepPart(o.batchMatMul(dScores, queries, 'x')),
            dv: keepPart(o.batchMatMul(probabilities, dO, 'x')),
          };
        });
        dqParts.unshift(part.dq);
        dk.add(part.dk);
        dv.add(part.dv);
      }
      return { dq: keep(o.concat(dqParts, 2)), dk: keep(dk.total()), dv: keep(dv.total()) };
    });
  }

  /** Masked scores [B, K, count*G, end] of the queries of one block and the keys up to its end; tanh: of capped scores. */
  #scores(
    queries: Handle,
    keys: Handle,
    shape: HeadShape,
    { start, count, end }: Block,
    { window = 0, softcap, starts }: AttentionMask,
  ): { scores: Handle; tanh: Handle | undefined } {
    const { o } = this;
    const group = shape.heads / shape.kvHeads;
    return o.runtime.scope((keep) => {
      const products = o.batchMatMul(queries, keys, 'y');
      const tanh = softcap ? keep(o.unary('Tanh', o.binary('Mul', products, o.runtime.literal(1 / softcap)))) : undefined;
      const scores = softcap && tanh ? o.binary('Mul', tanh, o.runtime.literal(softcap)) : products;
      const mask = this.#maskFor(shape, window);
      const width = mask.shape[1] ?? 0;
      const cut = o.slice(mask, [0, width - attentionBlock(shape.length) - start], [count * group, end]);
      const causal = o.binary('AddV2', scores, cut);
      return { scores: keep(starts ? this.#from(causal, starts, shape, { start, count, end }) : causal), tanh };
    });
  }

  /** Masks the keys before each query's first: scores + masked * (key < starts[query]). */
  #from(scores: Handle, starts: Handle, { batch, length, heads, kvHeads }: HeadShape, { start, count, end }: Block): Handle {
    const { o } = this;
    const sequences = starts.shape.reduce((product, size) => product * size, 1) / length;
    const firsts = o.reshape(o.slice(o.reshape(starts, [sequences, length]), [0, start], [-1, count]), [sequences, 1, count, 1, 1]);
    const positions = o.runtime.upload(
      Int32Array.from({ length: end }, (_, position) => position),
      [end],
      'i32',
    );
    const hidden = o.cast(o.binary('Less', positions, firsts), 'f32');
    const byQuery = o.reshape(scores, [batch, kvHeads, count, heads / kvHeads, end]);
    return o.reshape(o.binary('AddV2', byQuery, o.binary('Mul', hidden, o.runtime.literal(masked))), scores.shape);
  }

  /** Positions [start, start + count) of dimension 2. */
  #sequence(x: Handle, start: number, count: number): Handle {
    return start === 0 && count === x.shape[2] ? x : this.o.slice(x, [0, 0, start, 0], [-1, -1, count, -1]);
  }

  #firstColumn(x: Handle): Handle {
    return this.o.slice(x, [0, 0, 0, 0], [-1, -1, -1, 1]);
  }

  /** Kept between steps, one for each block, group and window; replaced when a longer sequence comes. */
  #maskFor({ length, heads, kvHeads }: HeadShape, window: number): Handle {
    const group = heads / kvHeads;
    const block = attentionBlock(length);
    const key = `${block} ${group} ${window}`;
    const known = this.#masks.get(key);
    if (known && known.length >= length) return known.handle;
    if (known) this.o.runtime.release(known.handle);
    const rounded = Math.ceil(length / block) * block;
    const { runtime } = this.o;
    const handle = runtime.own(runtime.observed(undefined, () => triangle(this.o, rounded, block, group, window)));
    this.#masks.set(key, { handle, length: rounded });
    return handle;
  }
}

/** Adds tensors [B, K, n, D] of falling n into one of the first's size. */
class PrefixSum {
  #head: Handle | undefined;
  readonly #tails: Handle[] = [];

  constructor(private readonly o: Operators) {}

  add(part: Handle): void {
    const head = this.#head;
    const count = part.shape[2] ?? 0;
    if (!head) {
      this.#head = part;
      return;
    }
    this.#tails.unshift(this.o.slice(head, [0, 0, count, 0], [-1, -1, -1, -1]));
    this.#head = this.o.binary('AddV2', this.o.slice(head, [0, 0, 0, 0], [-1, -1, count, -1]), part);
  }

  total(): Handle {
    return this.o.concat(this.#head ? [this.#head, ...this.#tails] : this.#tails, 2);
  }
}
