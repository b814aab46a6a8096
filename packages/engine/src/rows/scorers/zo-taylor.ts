import type { EncodedExample } from '@rowsmith/contracts';
import { EngineError } from '../../errors.js';
import type { LinearInfo } from '../../models/causal-lm.js';
import type { Handle } from '../../runtime/handle.js';
import { batchOf } from '../../train/collate.js';
import { normalNoise } from './noise.js';
import type { DataScorer, DataScoring } from './scoring.js';
import { taylorScores } from './taylor.js';

/** Mean loss of a split at W + step z_k. */
export type LossAt = (split: number, direction: number, step: number) => Promise<number>;

/**
 * Simultaneous perturbation (SPSA): rho_k = (L(W + eps z_k) - L(W - eps z_k)) / (2 eps), k = estimate * splits + split. Each k has its own direction and
 * its split's batches, the same ones for + and for -.
 */
export async function projectedGradients(estimates: number, splits: number, eps: number, lossAt: LossAt): Promise<Float64Array> {
  const rho = new Float64Array(estimates * splits);
  for (let k = 0; k < rho.length; k++) {
    const plus = await lossAt(k % splits, k, eps);
    const minus = await lossAt(k % splits, k, -eps);
    rho[k] = (plus - minus) / (2 * eps);
  }
  return rho;
}

/** (1/K) sum_k rho_k z_k, [out, in]; `noise` makes z_k. One direction is held at a time. */
export function estimatedGradient({ ops }: Pick<DataScoring, 'ops'>, rho: Float64Array, noise: (direction: number) => Handle): Handle {
  return ops.runtime.scope((keep) => {
    let sum: Handle | undefined;
    for (const [direction, value] of rho.entries()) {
      const before: Handle | undefined = sum;
      sum = ops.runtime.scope((keepSum) => {
        const part = ops.scale(noise(direction), value / rho.length);
        return keepSum(before ? ops.add(before, part) : part);
      });
      if (before) ops.runtime.release(before);
    }
    if (!sum) throw new RangeError('no direction');
    return keep(sum);
  });
}

/** Batches of each split: floor(batches / splits) in a row; those left over are not used. */
export function splitsOf<T>(batches: readonly T[], splits: number): T[][] {
  if (batches.length < splits)
    throw new EngineError(
      'precheck',
      'invalid_options',
      `zo_taylor needs at least one batch for each of its ${splits} splits; the training file makes ${batches.length}`,
      'row_sparse.zo_splits',
    );
  const size = Math.floor(batches.length / splits);
  return Array.from({ length: splits }, (_, split) => batches.slice(split * size, (split + 1) * size));
}

/**
 * Zeroth-order Taylor: I = sum_e |W_e ghat_e| with SPSA's estimate ghat of the gradient (Li & Bhaskara, arXiv 2502.11439). Forward passes only, through
 * W + step z, which is made layer by layer and thrown away: the weights themselves are never written. Noise is made again from (seed, direction,
 * name of the linear).
 *
 * Accuracy: with some 10^8 to 10^10 entries and a few hundred directions the signal-to-noise ratio of an entry of ghat is sqrt(directions / entries), 10^-3
 * or less: |ghat| is noise of about the same size everywhere, and channels are ranked much as their l1 norm ranks them. On a simulated 256 x 512 layer the
 * rank correlation with l1 was 0.95 to 0.97, with the true Taylor scores 0.24 to 0.41, where l1 itself has 0.20 to 0.43. An experiment with this scorer
 * needs an l1 control beside it.
 */
export const zoTaylor: DataScorer = async ({ ops, model, linears, batches, seed, zo, turn }) => {
  const { runtime } = ops;
  const { estimates, splits, eps } = zo;
  const parts: EncodedExample[][][] = splitsOf(
    batches.map((batch) => [...batch]),
    splits,
  );
  const chosen = new Set(linears.map(({ name }) => name));
  const noise = ({ name, outFeatures, inFeatures }: LinearInfo, direction: number) =>
    normalNoise(runtime, seed, direction, name, [outFeatures, inFeatures]);
  const total = 2 * estimates * parts.flat().length;
  let done = 0;
  const rho = await projectedGradients(estimates, splits, eps, async (split, direction, step) => {
    let sum = 0;
    const part = parts[split] as EncodedExample[][];
    for (const batch of part) {
      await turn(done++, total);
      const { lossSum, labelled } = model.lossAt(batchOf(batch, true), (linear) =>
        chosen.has(linear.name) ? runtime.scope((keep) => keep(ops.scale(noise(linear, direction), step))) : undefined,
      );
      sum += lossSum / Math.max(1, labelled);
    }
    return sum / part.length;
  });
  return new Map(
    linears.map((linear) => {
      const scores = runtime.scope(() =>
        taylorScores(
          ops,
          model.readMatrix(linear),
          estimatedGradient({ ops }, rho, (direction) => noise(linear, direction)),
        ),
      );
      return [linear.name, scores] as const;
    }),
  );
};
