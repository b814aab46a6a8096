/**
 * node --cpu-prof --cpu-prof-interval 100 --cpu-prof-dir <folder> packages/native/scripts/profiled-products.mjs [plain|guarded] [seconds]
 * plain: tfjs-node alone, nothing of ours. The f32 product of oneDNN before 3.11.2 points the stack pointer into the heap, the profiler's signals write there, and
 * glibc ends the process ("corrupted size vs. prev_size"). guarded: TensorFlow as `loadBinding` loads it. Without --cpu-prof neither fails.
 */
import { createRequire } from 'node:module';

const [side = 'plain', seconds = '10'] = process.argv.slice(2);
const require = createRequire(import.meta.url);
if (side === 'guarded') (await import('../dist/index.js')).loadBinding();
const { binding } = require('@tensorflow/tfjs-node-gpu').backend();

const typeAttribute = { name: 'T', type: binding.TF_ATTR_TYPE, value: binding.TF_FLOAT };
const flag = (name, value) => ({ name, type: binding.TF_ATTR_BOOL, value });
const tensor = (rows, columns) => binding.createTensor([rows, columns], binding.TF_FLOAT, new Float32Array(rows * columns).fill(0.5));
const product = (m, k, n, a, b) => [
  [typeAttribute, flag('transpose_a', a), flag('transpose_b', b)],
  [a ? tensor(k, m) : tensor(m, k), b ? tensor(n, k) : tensor(k, n)],
];
// Small ones, as of a layer of 576 units and 128 tokens, forward and backward.
const all = [
  product(128, 576, 1536, false, true),
  product(128, 1536, 576, false, true),
  product(128, 1536, 576, false, false),
  product(128, 576, 1536, false, false),
  product(32, 128, 576, true, false),
];
const until = performance.now() + Number(seconds) * 1000;
let products = 0;
while (performance.now() < until) {
  for (const [attributes, inputs] of all) {
    const [result] = binding.executeOp('MatMul', attributes, inputs, 1);
    binding.deleteTensor(result.id);
    products++;
  }
}
process.stdout.write(`${products} products\n`);
