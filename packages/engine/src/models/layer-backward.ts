import type { DecoderConfig, TargetName } from '@rowsmith/contracts';
import type { Ops } from '../ops/ops.js';
import type { Handle } from '../runtime/handle.js';
import type { Runtime } from '../runtime/runtime.js';
import type { RowModule } from './causal-lm.js';
import { keyShape, type LayerActivations, type LayerWeights, queryShape } from './layer.js';
import { partsOf } from './parts.js';
import type { PositionTables } from './rope-tables.js';
import type { UpdatePath } from './update-path.js';

export interface BackwardContext {
  readonly runtime: Runtime;
  readonly ops: Ops;
  readonly config: DecoderConfig;
  readonly batch: number;
  readonly length: number;
  readonly at: PositionTables;
  /** Dropout on the update path; absent: none. */
  readonly path?: UpdatePath | undefined;
}

export type LayerRows = ReadonlyMap<RowModule['target'], RowModule>;

/** What gradients of trained parts need. */
export type GradientContext = Pick<BackwardContext, 'runtime' | 'ops' | 'path'>;

export interface LayerGradients {
  /** dD [r, in] and dE transposed [c, out], by the key of the trained part. */
  readonly gradients: ReadonlyMap<string, Handle>;
  /** With respect to the layer's input, [N, C]; undefined when nothing below is trained. */
  readonly dx: Handle | undefined;
}

/**
 * Backward of one layer: dD = (G[:, S])^T X for selected rows, dE = G^T X[:, S] for selected columns, dX = G W through the merged weights
 * (Li & Bhaskara, arXiv 2502.11439). Stops as soon as nothing further down is trained. Everything is in the caller's scope.
 */
export function layerBackward(
  context: BackwardContext,
  w: LayerWeights,
  saved: LayerActivations,
  dy: Handle,
  modules: LayerRows,
  below: boolean,
): LayerGradients {
  const { ops, config, at, path } = context;
  const { norm_eps: eps, intermediate_size: F, activation } = config;
  const gradients = new Map<string, Handle>();
  const selected = (...targets: TargetName[]) => targets.flatMap((target) => modules.get(target) ?? []);
  const down = selected('down_proj');
  const gateUp = selected('gate_proj', 'up_proj');
  const o = selected('o_proj');
  const qkv = selected('q_proj', 'k_proj', 'v_proj');
  const needsProjections = below || qkv.length > 0;
  const needsAttention = needsProjections || o.length > 0;
  const needsFeedForward = needsAttention || gateUp.length > 0;

  /** dX of one linear, g its output's gradient. */
  const through = (target: TargetName, g: Handle, dx: Handle): Handle => path?.backward(target, () => g, dx) ?? dx;
  const dMlp = beforePostNorm(ops, dy, saved.mlpOutput, w.mlpPostNorm, eps);
  if (!needsFeedForward) {
    partGradients(context, gradients, down, [dMlp], ops.swiGlu(saved.gate, saved.up, activation));
    return { gradients, dx: undefined };
  }
  const { act, dGate, dUp } = ops.swiGluBackward(
    through('down_proj', dMlp, ops.linearBackward(dMlp, w.down)),
    saved.gate,
    saved.up,
    activation,
  );
  partGradients(context, gradients, down, [dMlp], act);
  context.runtime.release(act);

  if (!needsAttention) {
    partGradients(context, gradients, gateUp, [dGate, dUp], ops.rmsNorm(saved.afterAttention, w.mlpNorm, eps));
    return { gradients, dx: undefined };
  }
  const dNormed = ops.add(
    through('gate_proj', dGate, ops.linearBackward(dGate, ops.sliceRows(w.gateUp, 0, F))),
    through('up_proj', dUp, ops.linearBackward(dUp, ops.sliceRows(w.gateUp, F, F))),
  );
  const attention = ops.rmsNormBackward(dNormed, saved.afterAttention, w.mlpNorm, eps, dy);
  partGradients(context, gradients, gateUp, [dGate, dUp], attention.normed);
  context.runtime.release(dGate, dUp);

  const shape = queryShape(config, context.batch, context.length);
  const dAttention = beforePostNorm(ops, attention.dx, saved.attentionOutput, w.attnPostNorm, eps);
  if (o.length > 0) partGradients(context, gradients, o, [dAttention], ops.mergeHeads(saved.out, shape));
  if (!needsProjections) return { gradients, dx: undefined };

  const keys = keyShape(config, context.batch, context.length);
  const dOut = ops.splitHeads(through('o_proj', dAttention, ops.linearBackward(dAttention, w.o)), shape);
  const { dq, dk, dv } = ops.causalAttentionBackward(dOut, saved, shape, at.mask);
  const dQkv = ops.concatColumns([
    beforeHeadNorm(ops, ops.splitHeadsRopeBackward(dq, shape, at.q), saved.rawQ, w.qNorm, eps),
    beforeHeadNorm(ops, ops.splitHeadsRopeBackward(dk, keys, at.k), saved.rawK, w.kNorm, eps),
    ops.mergeHeads(dv, keys),
  ]);
  if (!below) {
    partGradients(context, gradients, qkv, [dQkv], ops.rmsNorm(saved.x, w.attnNorm, eps));
    return { gradients, dx: undefined };
  }
  let dHeads = ops.linearBackward(dQkv, w.qkv);
  for (const { target, rowOffset, outFeatures } of path ? qkv : [])
    dHeads = path?.backward(target, () => ops.sliceColumns(dQkv, rowOffset, outFeatures), dHeads) ?? dHeads;
  const input = ops.rmsNormBackward(dHeads, saved.x, w.attnNorm, eps, attention.dx);
  partGradients(context, gradients, qkv, [dQkv], input.normed);
  return { gradients, dx: input.dx };
}

/** Gradient of the output of a half of the layer before its own norm, where the model has one. */
function beforePostNorm(ops: Ops, dy: Handle, output: Handle | undefined, weight: Handle | undefined, eps: number): Handle {
  return output && weight ? ops.rmsNormBackward(dy, output, weight, eps).dx : dy;
}

/** Gradient of queries or keys [N, heads*D] before the norm of each head, where the model has one. */
function beforeHeadNorm(ops: Ops, dy: Handle, raw: Handle | undefined, weight: Handle | undefined, eps: number): Handle {
  if (!raw || !weight) return dy;
  const [rows = 0, width = 0] = raw.shape;
  const heads = [(rows * width) / (weight.shape[0] ?? 1), weight.shape[0] ?? 1];
  return ops.reshape(ops.rmsNormBackward(ops.reshape(dy, heads), ops.reshape(raw, heads), weight, eps).dx, [rows, width]);
}

/**
 * Modules that share the input x [N, in] share one product for their rows. outputs: gradients of the packed matrix's outputs, side by side: one
 * [N, out of the whole matrix], or one of equal width for each of its parts.
 */
export function partGradients(
  context: GradientContext,
  gradients: Map<string, Handle>,
  trained: readonly RowModule[],
  outputs: readonly Handle[],
  x: Handle,
): void {
  const { runtime, ops, path } = context;
  if (path) {
    // Each module has a mask of its own, so nothing is shared.
    for (const module of trained) partGradients({ ...context, path: undefined }, gradients, [module], outputs, path.dropped(module, x));
    return;
  }
  for (const module of trained) {
    columnGradient(context, gradients, module, outputs, x);
    biasGradient(context, gradients, module, outputs);
  }
  const modules = trained.filter(({ indices }) => indices.length > 0);
  if (modules.length === 0) return;
  const width = outputs[0]?.shape[1] ?? 0;
  const columns = outputs.flatMap((gradient, part) => {
    const indices = modules.flatMap(({ rowOffset, indices }) =>
      Math.floor(rowOffset / width) === part ? Array.from(indices, (row) => row + rowOffset - part * width) : [],
    );
    // Every row, in order: nothing to gather. Scores need such gradients.
    if (indices.length === width && indices.every((row, i) => row === i)) return [gradient];
    return indices.length > 0 ? [ops.gatherColumns(gradient, runtime.upload(Int32Array.from(indices), [indices.length], 'i32'))] : [];
  });
  const gradient = ops.rowGradient(ops.concatColumns(columns), x);
  let start = 0;
  for (const module of modules) {
    const count = module.indices.length;
    gradients.set(module.name, modules.length === 1 ? gradient : ops.sliceRows(gradient, start, count));
    start += count;
  }
}

/** Sums of the columns S of G: [r, 1]. */
function biasGradient(
  { runtime, ops }: GradientContext,
  gradients: Map<string, Handle>,
  module: RowModule,
  outputs: readonly Handle[],
): void {
  for (const { axis, key, ids } of partsOf(module)) {
    if (axis !== 'biases') continue;
    const width = outputs[0]?.shape[1] ?? 0;
    const output = outputs[Math.floor(module.rowOffset / width)] as Handle;
    const gradient = runtime.scope((keep) => {
      const columns = runtime.upload(
        ids.map((row) => (module.rowOffset % width) + row),
        [ids.length],
        'i32',
      );
      return keep(ops.reshape(ops.sumRows(ops.gatherColumns(output, columns)), [ids.length, 1]));
    });
    gradients.set(key, gradient);
  }
}

/** (X[:, S])^T G: [c, out]. */
function columnGradient(
  { runtime, ops }: GradientContext,
  gradients: Map<string, Handle>,
  module: RowModule,
  outputs: readonly Handle[],
  x: Handle,
): void {
  for (const { axis, key, ids } of partsOf(module)) {
    if (axis !== 'columns') continue;
    const width = outputs[0]?.shape[1] ?? 0;
    const output = outputs[Math.floor(module.rowOffset / width)] as Handle;
    const gradient = runtime.scope((keep) => {
      const g = module.outFeatures === width ? output : ops.sliceColumns(output, module.rowOffset % width, module.outFeatures);
      const inputs = ops.gatherColumns(x, runtime.upload(ids, [ids.length], 'i32', true));
      return keep(ops.rowGradient(inputs, g));
    });
    gradients.set(key, gradient);
  }
}
