/** What lies above an encoder's layers: pooler and classifier, both trained whole. */
import type { Ops } from '../ops/ops.js';
import type { Handle } from '../runtime/handle.js';
import { type GradientContext, type LayerGradients, type LayerRows, partGradients } from './layer-backward.js';
import type { ModelTensors } from './weights.js';

export interface Head {
  /** [B] places of the first tokens in [B*T], and their outputs, [B, C]. */
  readonly first: Handle;
  readonly tokens: Handle;
  /** tanh(tokens W_p^T + b_p), [B, C]. */
  readonly pooled: Handle;
  /** [B, classes] */
  readonly logits: Handle;
}

export function headForward(ops: Ops, weights: ModelTensors, x: Handle, first: Handle): Head {
  const tokens = ops.gatherRows(x, first);
  const linear = (name: string, input: Handle) => ops.add(ops.linear(input, weights.matrix(name)), weights.get(`${name}_bias`));
  const pooled = ops.tanh(linear('pooler', tokens));
  return { first, tokens, pooled, logits: linear('classifier', pooled) };
}

/** dx: gradient of `tokens`, [B, C]; undefined when no layer below is trained. */
export function headBackward(
  context: GradientContext,
  weights: ModelTensors,
  { tokens, pooled }: Head,
  dLogits: Handle,
  modules: LayerRows,
  below: boolean,
): LayerGradients {
  const { ops } = context;
  const gradients = new Map<string, Handle>();
  const [pooler, classifier] = [modules.get('pooler'), modules.get('classifier')];
  if (classifier) partGradients(context, gradients, [classifier], [dLogits], pooled);
  if (!pooler && !below) return { gradients, dx: undefined };
  const dPooled = ops.tanhBackward(ops.linearBackward(dLogits, weights.matrix('classifier')), pooled);
  if (pooler) partGradients(context, gradients, [pooler], [dPooled], tokens);
  return { gradients, dx: below ? ops.linearBackward(dPooled, weights.matrix('pooler')) : undefined };
}
