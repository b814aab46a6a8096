import type { StockOps } from '../ops/stock-ops.js';
import type { Handle } from '../runtime/handle.js';

/** delta (D), m, v: [R, width] f32. */
export interface AdamState {
  readonly delta: Handle;
  readonly m: Handle;
  readonly v: Handle;
}

export interface AdamStep {
  /** Counted from 1. */
  readonly t: number;
  readonly learningRate: number;
  /** Decoupled; on D, so it pulls the tuned rows back to the base. 0: off. */
  readonly weightDecay: number;
  /** The gradient counts times this: clipping. 1: as it is. */
  readonly gradientScale: number;
}

const beta1 = 0.9;
const beta2 = 0.999;
const eps = 1e-8;

/**
 * AdamW (Loshchilov & Hutter, arXiv 1711.05101) with torch's order of operations:
 *   D <- D (1 - lr wd);  m <- b1 m + (1-b1) g;  v <- b2 v + (1-b2) g^2;  D <- D - lr/(1-b1^t) m / (sqrt(v)/sqrt(1-b2^t) + eps).
 * gradient, base: [R, width]. Fused operators write into the state's memory, in one pass, and give base + D too. Stock ones make new handles in the
 * caller's scope, and the old ones stay the caller's to release: 13 to 15 operators, at most three temporaries of [R, width] live at a time.
 */
export function adamwStep(
  ops: StockOps,
  state: AdamState,
  gradient: Handle,
  base: Handle,
  step: AdamStep,
): AdamState & { merged?: Handle } {
  const { t, learningRate, weightDecay, gradientScale } = step;
  const { runtime } = ops;
  const scalars = [learningRate, beta1, beta2, eps, weightDecay, 1 - beta1 ** t, 1 - beta2 ** t, gradientScale, 1 - beta1, 1 - beta2];
  const merged = runtime.scope((keep) => {
    const made = ops.adamwInPlace([state.delta, state.m, state.v], gradient, base, runtime.upload(Float32Array.from(scalars), [10], 'f32'));
    return made && keep(made);
  });
  if (merged) return { ...state, merged };
  const formula = (body: () => Handle): Handle => runtime.scope((keep) => keep(body()));
  const g = gradientScale === 1 ? gradient : ops.scale(gradient, gradientScale);
  const m = formula(() => ops.add(ops.scale(state.m, beta1), ops.scale(g, 1 - beta1)));
  const v = formula(() =>
    ops.add(
      ops.scale(state.v, beta2),
      formula(() => ops.scale(ops.square(g), 1 - beta2)),
    ),
  );
  if (g !== gradient) runtime.release(g);
  const direction = formula(() => {
    const root = formula(() => ops.scale(ops.sqrt(v), 1 / Math.sqrt(1 - beta2 ** t)));
    return ops.divide(m, ops.add(root, runtime.literal(eps)));
  });
  const delta = formula(() => {
    const decayed = weightDecay === 0 ? state.delta : ops.scale(state.delta, 1 - learningRate * weightDecay);
    return ops.subtract(decayed, ops.scale(direction, learningRate / (1 - beta1 ** t)));
  });
  runtime.release(direction);
  return { delta, m, v };
}
