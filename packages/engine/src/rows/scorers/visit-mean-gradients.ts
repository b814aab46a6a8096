import type { EncodedExample } from '@rowsmith/contracts';
import type { LinearInfo } from '../../models/causal-lm.js';
import type { Handle } from '../../runtime/handle.js';
import { batchOf, labelledTokens } from '../../train/collate.js';
import type { DataScoring } from './scoring.js';

type Visit = (linear: LinearInfo, gradient: Handle) => void;

/** The gradient of the mean token loss of each unit (a batch, or a single example) with respect to each linear, [out, in], freed after its visit. */
export async function visitMeanGradients(
  { model, linears, turn }: Pick<DataScoring, 'model' | 'linears' | 'turn'>,
  units: readonly (readonly EncodedExample[])[],
  visit: Visit,
): Promise<void> {
  for (const [done, unit] of units.entries()) {
    await turn(done, units.length);
    const labelled = unit.reduce((count, example) => count + labelledTokens(example), 0);
    model.visitGradients(batchOf(unit, true), 1 / Math.max(1, labelled), linears, visit);
  }
}
