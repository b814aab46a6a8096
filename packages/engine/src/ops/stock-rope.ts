import type { Handle } from '../runtime/handle.js';
import type { Operators } from './operators.js';
import type { HeadShape, RopeTable, RopeTableOptions } from './ops.js';

/**
 * Angles t * frequency (Su et al., arXiv 2104.09864, in the rotate-half order of Hugging Face's Llama), repeated `copies` times beside each other.
 * Sines carry the sign of rotate-half: y = x cos + swap(x) sin, swap exchanging the halves of what turns of a head.
 */
export function ropeTable(o: Operators, length: number, options: RopeTableOptions): RopeTable {
  const { headDim, copies, frequencies, scale } = options;
  const half = frequencies.length;
  const factor = scale * (options.attentionFactor ?? 1);
  const cos = new Float32Array(length * copies * headDim).fill(scale);
  const sin = new Float32Array(cos.length);
  for (let t = 0; t < length; t++) {
    for (let i = 0; i < half; i++) {
      // Hugging Face multiplies in f32 before it takes the cosine: so do we, or long positions would differ.
      const angle = Math.fround(t * (frequencies[i] ?? 0));
      const sine = factor * Math.sin(angle);
      const cosine = factor * Math.cos(angle);
      for (let copy = 0; copy < copies; copy++) {
        const at = (t * copies + copy) * headDim + i;
        cos[at] = cos[at + half] = cosine;
        sin[at] = -sine;
        sin[at + half] = sine;
      }
    }
  }
  const shape = [length, copies * headDim];
  return { cos: o.runtime.upload(cos, shape, 'f32'), sin: o.runtime.upload(sin, shape, 'f32'), dim: 2 * half };
}

/** Exchanges the halves of the first `dim` dimensions of every head. Any shape of whole heads, row-major. */
function swapHalves(o: Operators, x: Handle, headDim: number, dim: number): Handle {
  const elements = x.shape.reduce((product, size) => product * size, 1);
  if (dim === headDim) {
    const halves = o.reshape(x, [elements / headDim, 2, headDim / 2]);
    return o.reshape(o.reverse(halves, 1), x.shape);
  }
  const heads = o.reshape(x, [elements / headDim, headDim]);
  const part = (start: number, count: number) => o.slice(heads, [0, start], [-1, count]);
  return o.reshape(o.concat([part(dim / 2, dim / 2), part(0, dim / 2), part(dim, headDim - dim)], 1), x.shape);
}

/** [N, H*D] → [B, K, T, G*D] */
function toHeads(o: Operators, x: Handle, { batch, length, heads, kvHeads, headDim }: HeadShape): Handle {
  return o.transpose(o.reshape(x, [batch, length, kvHeads, (heads / kvHeads) * headDim]), 0, 2, 1, 3);
}

export function splitHeads(o: Operators, x: Handle, shape: HeadShape): Handle {
  return o.runtime.scope((keep) => keep(o.reshape(toHeads(o, x, shape), rowsOfHeads(shape))));
}

export function mergeHeads(o: Operators, x: Handle, shape: HeadShape): Handle {
  const { batch, length, heads, kvHeads, headDim } = shape;
  return o.runtime.scope((keep) => {
    const byHead = o.reshape(x, [batch, kvHeads, length, (heads / kvHeads) * headDim]);
    return keep(o.reshape(o.transpose(byHead, 0, 2, 1, 3), [batch * length, heads * headDim]));
  });
}

export function splitHeadsRope(o: Operators, x: Handle, shape: HeadShape, table: RopeTable): Handle {
  return o.runtime.scope((keep) => {
    const y = toHeads(o, x, shape);
    const rotated = o.binary(
      'AddV2',
      o.binary('Mul', y, table.cos),
      o.binary('Mul', swapHalves(o, y, shape.headDim, table.dim), table.sin),
    );
    return keep(o.reshape(rotated, rowsOfHeads(shape)));
  });
}

/** swap(sin) = -sin, so the adjoint dy cos + swap(dy sin) is dy cos - swap(dy) sin. */
export function splitHeadsRopeBackward(o: Operators, dy: Handle, shape: HeadShape, table: RopeTable): Handle {
  const { batch, length, heads, kvHeads, headDim } = shape;
  return o.runtime.scope((keep) => {
    const y = o.reshape(dy, [batch, kvHeads, length, (heads / kvHeads) * headDim]);
    const rotated = o.binary('Sub', o.binary('Mul', y, table.cos), o.binary('Mul', swapHalves(o, y, headDim, table.dim), table.sin));
    return keep(mergeHeads(o, rotated, shape));
  });
}

const rowsOfHeads = ({ batch, length, heads, kvHeads, headDim }: HeadShape) => [batch, kvHeads, length * (heads / kvHeads), headDim];
