import type { Handle } from '../runtime/handle.js';
import type { Operators } from './operators.js';
import type { Product } from './product.js';

/** Logits of one chunk and their gradient are two [m, V] matrices of about this many bytes, live while all activations are: they decide the peak. */
const chunkBytes = 24 * 2 ** 20;

export function chunkRows(vocabulary: number): number {
  return Math.max(16, Math.floor(chunkBytes / 4 / vocabulary / 16) * 16);
}

interface Chunk {
  readonly loss: Handle;
  readonly predicted: Handle;
  readonly dHidden: Handle | undefined;
}

/** Softmax cross-entropy in chunks of rows. hidden: [M, C], head: [V, C], labels: [M] i32; M >= 1. softcap: l counts as c tanh(l / c). */
export function crossEntropy(
  o: Operators,
  product: Product,
  hidden: Handle,
  head: Handle,
  labels: Handle,
  backward: boolean,
  softcap: number | undefined,
): Chunk {
  const [rows = 0] = hidden.shape;
  const step = chunkRows(head.shape[0] ?? 1);
  return o.runtime.scope((keep) => {
    const chunks: Chunk[] = [];
    for (let start = 0; start < rows; start += step) {
      const count = Math.min(step, rows - start);
      chunks.push(
        o.runtime.scope((keepChunk) => {
          const part = o.slice(hidden, [start, 0], [count, -1]);
          const products = product(part, head, 'b');
          const tanh = softcap ? o.unary('Tanh', o.binary('Mul', products, o.runtime.literal(1 / softcap))) : undefined;
          const logits = softcap && tanh ? o.binary('Mul', tanh, o.runtime.literal(softcap)) : products;
          const predicted = keepChunk(o.argMax(logits));
          const [loss, dLogits] = o.runtime.executeMany(
            'SparseSoftmaxCrossEntropyWithLogits',
            [logits, o.slice(labels, [start], [count])],
            2,
          );
          o.runtime.release(logits);
          return {
            loss: keepChunk(loss as Handle),
            predicted,
            dHidden: backward ? keepChunk(product(uncapped(o, dLogits as Handle, tanh), head)) : undefined,
          };
        }),
      );
    }
    const gradients = chunks.flatMap(({ dHidden }) => (dHidden ? [dHidden] : []));
    return {
      loss: keep(
        o.concat(
          chunks.map(({ loss }) => loss),
          0,
        ),
      ),
      predicted: keep(
        o.concat(
          chunks.map(({ predicted }) => predicted),
          0,
        ),
      ),
      dHidden: backward ? keep(o.concat(gradients, 0)) : undefined,
    };
  });
}

/** d capped / d logit = 1 - tanh^2. */
function uncapped(o: Operators, dLogits: Handle, tanh: Handle | undefined): Handle {
  return tanh ? o.binary('Mul', dLogits, o.binary('Sub', o.runtime.literal(1), o.unary('Square', tanh))) : dLogits;
}
