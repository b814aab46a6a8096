import type { TargetName } from '@rowsmith/contracts';
import type { Handle } from '../runtime/handle.js';
import { afterAttention, type EncoderActivations, type EncoderContext, type EncoderLayerWeights } from './encoder-layer.js';
import { type LayerGradients, type LayerRows, partGradients } from './layer-backward.js';

/**
 * Backward of one encoder layer: gradients of the trained parts and dX = G W through the merged weights (Li & Bhaskara, arXiv 2502.11439). Stops as
 * soon as nothing further down is trained. Everything is in the caller's scope.
 */
export function encoderLayerBackward(
  context: EncoderContext,
  w: EncoderLayerWeights,
  saved: EncoderActivations,
  dy: Handle,
  modules: LayerRows,
  below: boolean,
): LayerGradients {
  const { ops, config, shape, counts, path } = context;
  const { norm_eps: eps, hidden_size: C } = config;
  const gradients = new Map<string, Handle>();
  const selected = (...targets: TargetName[]) => targets.flatMap((target) => modules.get(target) ?? []);
  const [up, down, o] = [selected('up_proj'), selected('down_proj'), selected('o_proj')];
  const qkv = selected('q_proj', 'k_proj', 'v_proj');
  const needsProjections = below || qkv.length > 0;
  const needsAttention = needsProjections || o.length > 0;
  /** dX of one linear, g its output's gradient. */
  const through = (target: TargetName, g: Handle, dx: Handle): Handle => path?.backward(target, () => g, dx) ?? dx;

  const dMlp = ops.layerNormBackward(dy, saved.mlpSum, w.mlpNorm, eps);
  if (down.length > 0) partGradients(context, gradients, down, [dMlp], ops.gelu(saved.up));
  if (!needsAttention && up.length === 0) return { gradients, dx: undefined };

  const dUp = ops.geluBackward(through('down_proj', dMlp, ops.linearBackward(dMlp, w.down)), saved.up);
  if (up.length > 0) partGradients(context, gradients, up, [dUp], afterAttention(context, w, saved.attentionSum));
  if (!needsAttention) return { gradients, dx: undefined };

  const dHidden = ops.add(dMlp, through('up_proj', dUp, ops.linearBackward(dUp, w.up)));
  const dAttention = ops.layerNormBackward(dHidden, saved.attentionSum, w.attnNorm, eps);
  if (o.length > 0) partGradients(context, gradients, o, [dAttention], ops.mergeHeads(saved.out, shape));
  if (!needsProjections) return { gradients, dx: undefined };

  const dOut = ops.splitHeads(through('o_proj', dAttention, ops.linearBackward(dAttention, w.o)), shape);
  const { dq, dk, dv } = ops.paddedAttentionBackward(dOut, saved, counts);
  const dQkv = ops.concatColumns([
    ops.mergeHeads(ops.scale(dq, shape.headDim ** -0.5), shape),
    ops.mergeHeads(dk, shape),
    ops.mergeHeads(dv, shape),
  ]);
  partGradients(context, gradients, qkv, [dQkv], saved.x);
  if (!below) return { gradients, dx: undefined };
  let dHeads = ops.linearBackward(dQkv, w.qkv);
  for (const [part, target] of (['q_proj', 'k_proj', 'v_proj'] as const).entries())
    dHeads = path?.backward(target, () => ops.sliceColumns(dQkv, part * C, C), dHeads) ?? dHeads;
  return { gradients, dx: ops.add(dAttention, dHeads) };
}
