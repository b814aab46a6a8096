/**
 * Rates of the engine's matrix products at the model's shapes: TensorFlow's own (oneDNN, f32) and what the engine uses, GFLOP/s by use.
 *   node bench/machine/products.mjs <shapes: JSON list of [out, in, how many]> <tokens> [f32|bf16]
 */
import { openEngine } from '@rowsmith/engine';
import { commandLine } from '../../scripts/command-line.mjs';

const { positionals, wrongUse } = commandLine(import.meta.url, { names: ['<shapes>', '<tokens>'], more: true });
const [shapesText, tokensText, precision = 'f32'] = positionals;
if (!shapesText.startsWith('[')) wrongUse('<shapes> must be a JSON list');
const shapes = JSON.parse(shapesText);
const tokens = Number(tokensText);
const { ops } = await openEngine({ precision: precision });
const { runtime } = ops;
const transposed = [{ name: 'transpose_b', type: 3, value: true }];
const products = {
  tensorflow: {
    forward: (x, w) => runtime.execute('MatMul', [x, w], transposed),
    backward: (g, w) => runtime.execute('MatMul', [g, w]),
  },
  engine: { forward: (x, w) => ops.linear(x, w), backward: (g, w) => ops.linearBackward(g, w) },
};

/** The best of three: other programs can only slow it down. */
function rate(product, backward) {
  let [seconds, flops] = [0, 0];
  for (const [out, width, count] of shapes)
    runtime.scope(() => {
      const filled = (rows, columns) => {
        const values = new Float32Array(rows * columns);
        for (let i = 0; i < values.length; i++) values[i] = (i % 1009) / 1009 - 0.5;
        return runtime.upload(values, [rows, columns], 'f32');
      };
      const w = filled(out, width);
      const x = filled(tokens, backward ? out : width);
      let least = Number.POSITIVE_INFINITY;
      for (let round = 0; round < 4; round++)
        runtime.scope(() => {
          const began = performance.now();
          product(x, w);
          if (round > 0) least = Math.min(least, (performance.now() - began) / 1000);
        });
      seconds += count * least;
      flops += 2 * count * tokens * out * width;
    });
  return flops / seconds / 1e9;
}

const rates = Object.entries(products).map(([name, { forward, backward }]) => [
  name,
  { forward: rate(forward, false), backward: rate(backward, true) },
]);
console.log(JSON.stringify(Object.fromEntries(rates)));
