import type { EncodedExample } from '@rowsmith/contracts';
import type { LinearInfo } from '../../models/causal-lm.js';
import type { Handle } from '../../runtime/handle.js';
import type { ChannelScores, ScoreMatrix } from '../score-matrix.js';
import { passesOf } from './passes.js';
import type { DataScoring } from './scoring.js';
import { visitMeanGradients } from './visit-mean-gradients.js';

interface MatrixSums {
  /** What is added up of each gradient [out, in], with its sign; `w` reads the matrix. */
  readonly term: (gradient: Handle, w: () => Handle) => Handle;
  /** Scores from the sum. */
  readonly scores: (w: Handle, sum: Handle) => ChannelScores;
}

/** Sums a matrix of each linear over `units` (batches, or single examples), as many linears at a time as fit the memory; gradients of mean token losses. */
export async function scoresOfSums(
  { ops, model, linears, memoryBytes, turn }: DataScoring,
  units: readonly (readonly EncodedExample[])[],
  { term, scores }: MatrixSums,
): Promise<ScoreMatrix> {
  const { runtime } = ops;
  const passes = passesOf(linears, memoryBytes);
  const found = new Map<string, ChannelScores>();
  for (const [number, pass] of passes.entries()) {
    const sums = new Map<string, Handle>();
    const add = (linear: LinearInfo, gradient: Handle): void => {
      const before = sums.get(linear.name);
      const sum = runtime.scope((keep) => {
        const part = term(gradient, () => model.readMatrix(linear));
        // The first one is copied: it may be a view of the whole layer's gradient.
        return keep(before ? ops.add(before, part) : ops.copy(part));
      });
      sums.set(linear.name, runtime.own(sum));
      if (before) runtime.release(before);
    };
    try {
      const passTurn = (done: number) => turn(number * units.length + done, passes.length * units.length);
      await visitMeanGradients({ model, linears: pass, turn: passTurn }, units, add);
      for (const linear of pass) {
        const sum = sums.get(linear.name);
        if (sum)
          found.set(
            linear.name,
            runtime.scope(() => scores(model.readMatrix(linear), sum)),
          );
      }
    } finally {
      runtime.release(...sums.values());
    }
  }
  return new Map(linears.map((linear) => [linear.name, found.get(linear.name) ?? noScores(linear)]));
}

const noScores = ({ outFeatures, inFeatures }: LinearInfo): ChannelScores => ({
  out: new Float32Array(outFeatures),
  in: new Float32Array(inFeatures),
});
