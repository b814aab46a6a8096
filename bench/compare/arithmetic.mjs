/** Floating-point operations of one training step, counted from the shapes; a multiplication with an addition is two. */

/** [out, in, how many a model] of the matrices that every token goes through. */
export const layerShapes = ({ hidden_size: width, n_heads, n_kv_heads, head_dim, intermediate_size, n_layers }) => [
  [(n_heads + 2 * n_kv_heads) * head_dim, width, n_layers],
  [width, n_heads * head_dim, n_layers],
  [2 * intermediate_size, width, n_layers],
  [width, intermediate_size, n_layers],
];
export const modelShapes = (config) => [...layerShapes(config), [config.vocab_size, config.hidden_size, 1]];

const product = (shapes) => shapes.reduce((sum, [out, width, count]) => sum + 2 * out * width * count, 0);

/**
 * Of one token: products forward and the gradients of their inputs; the vocabulary for labelled tokens only; attention over (length + 1) / 2 keys on
 * average, two products forward and five back; gradients of `rows` rows of each of the seven linears.
 */
export function flopsPerToken(config, { length, labelledShare = 1, rows }) {
  const { hidden_size: width, n_heads, n_kv_heads, head_dim, intermediate_size, n_layers, vocab_size } = config;
  const rowsOf = (out) => Math.min(rows, out);
  const [q, kv] = [n_heads * head_dim, n_kv_heads * head_dim];
  const rowInputs = (rowsOf(q) + 2 * rowsOf(kv) + 2 * rowsOf(intermediate_size)) * width + rowsOf(width) * (q + intermediate_size);
  const parts = {
    linears: 2 * product(layerShapes(config)),
    vocabulary: 2 * labelledShare * product([[vocab_size, width, 1]]),
    attention: 7 * 2 * ((length + 1) / 2) * q * n_layers,
    rows: 2 * rowInputs * n_layers,
  };
  return { ...parts, total: Object.values(parts).reduce((sum, part) => sum + part, 0) };
}
