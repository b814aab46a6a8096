/** For tests: a scoring run on the tiny model, here and in another process. */
import { type EncodedExample, type ScorerName, targetNames } from '@rowsmith/contracts';
import { type Engine, openEngine } from '../../engine.js';
import type { CausalLM } from '../../models/causal-lm.js';
import { createCausalLM } from '../../models/decoder.js';
import { tinyConfig, tinyModel } from '../../models/tiny-model.js';
import { philox } from '../../runtime/philox.js';
import { type ScoringConfig, type ScoringInput, scoreChannels } from '../score-channels.js';
import type { ScoreMatrix } from '../score-matrix.js';

/** Five sequences of 5 to 9 random tokens, the first three of each a prompt. */
export const scoringExamples: readonly EncodedExample[] = Array.from({ length: 5 }, (_, i) => {
  const random = philox(71, 'scoring', i);
  const ids = Int32Array.from({ length: 5 + i }, () => random.below(tinyConfig.vocab_size));
  return { ids, labels: ids.map((id, t) => (t < 3 ? -100 : id)) };
});

export function tinyScoring(engine: Engine, model: CausalLM, scorer: ScorerName, change: Partial<ScoringConfig> = {}): ScoringInput {
  const options = { calibration_batches: 50, scoring_memory_mb: 0, zo_estimates: 2, zo_splits: 3, zo_eps: 1e-3 };
  const config: ScoringConfig = { scorer, targets: [...targetNames], layers: [0, 1], ...options, ...change };
  return { engine, model, config, seed: 9, examples: scoringExamples, batchSize: 2 };
}

/** Every bit. */
export const scoresText = (scores: ScoreMatrix): string =>
  Array.from(scores, ([name, { out, in: columns }]) =>
    [name, ...[out, columns].map((v) => Buffer.from(v.slice().buffer).toString('base64'))].join(':'),
  ).join();

export async function allScores(names: string): Promise<string> {
  const engine = await openEngine();
  const model = createCausalLM(engine.ops, tinyModel(31));
  const texts: string[] = [];
  for (const scorer of names.split(','))
    texts.push(scoresText((await scoreChannels(tinyScoring(engine, model, scorer as ScorerName))).scores));
  return texts.join('\n');
}
