/** The two ends of the decoder: token ids to its first input, its last output to logits. */
import type { Ops } from '../ops/ops.js';
import type { Handle } from '../runtime/handle.js';
import type { ModelWeights } from './weights.js';

/** ids: [N] i32 → [N, C] */
export function embedTokens(ops: Ops, weights: ModelWeights, ids: Handle): Handle {
  const x = ops.gatherRows(weights.get('embed'), ids);
  const { embed_scale } = weights.config;
  return embed_scale === undefined ? x : ops.scale(x, embed_scale);
}

/** [V, C] */
export const headOf = (weights: ModelWeights): Handle => weights.get(weights.config.tie_embeddings ? 'embed' : 'lm_head');

/** x: [N, C] before the final norm → [N, V] */
export function logitsOf(ops: Ops, weights: ModelWeights, x: Handle): Handle {
  const { norm_eps, logit_softcap } = weights.config;
  const logits = ops.linear(ops.rmsNorm(x, weights.get('final_norm'), norm_eps), headOf(weights));
  return logit_softcap === undefined ? logits : ops.softcap(logits, logit_softcap);
}
