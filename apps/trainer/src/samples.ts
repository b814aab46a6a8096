import type { FromTrainer, JobSpec, SampleTime } from '@rowsmith/contracts';
import type { CausalLM } from '@rowsmith/engine';
import type { Text } from './dataset.js';
import { type StopRequest, stopRequested } from './stop-request.js';
import { TrainerError } from './trainer-error.js';

export interface Prompt {
  readonly text: string;
  readonly ids: Int32Array;
}

/** The job's sample prompts as the model sees them: one user message through the chat template, or plain text where there is none. */
export async function encodePrompts(
  { row_sparse }: JobSpec,
  { tokenizer, template }: Text,
  maxPositions: number,
): Promise<readonly Prompt[]> {
  const prompts: Prompt[] = [];
  for (const [i, text] of row_sparse.sample_prompts.entries()) {
    const rendered = template?.render([{ role: 'user', content: text }], { addGenerationPrompt: true });
    const { ids } = await tokenizer.encode(rendered ?? text, { addSpecialTokens: rendered === undefined });
    if (ids.length === 0 || ids.length >= maxPositions) {
      const message = `sample prompt ${i + 1} has ${ids.length} tokens; the model takes 1 to ${maxPositions - 1}`;
      throw new TrainerError('user', 'invalid_sample_prompt', message, `row_sparse.sample_prompts[${i}]`);
    }
    prompts.push({ text, ids });
  }
  return prompts;
}

export interface Answering {
  readonly spec: JobSpec;
  readonly text: Text;
  readonly stop: StopRequest;
  readonly send: (message: FromTrainer) => Promise<void>;
}

/**
 * Answers of the model as it is now, after `step` steps. Every draw depends on seed, step, prompt and position alone, so a resumed job answers alike. A stop
 * request is noticed between tokens: it ends the answers, and what was half said is dropped.
 */
export async function answer(
  when: SampleTime,
  step: number,
  model: CausalLM,
  prompts: readonly Prompt[],
  { spec: { seed, row_sparse }, text, stop, send }: Answering,
): Promise<void> {
  const { sample_temperature: temperature, sample_top_k: topK, sample_top_p: topP } = row_sparse;
  for (const [prompt, { text: asked, ids }] of prompts.entries()) {
    const options = {
      maxNewTokens: row_sparse.sample_max_tokens,
      stopIds: model.config.eos_token_ids,
      sampling: { temperature, topK, topP, seed, step, prompt },
    };
    const made: number[] = [];
    const tokens = model.tokens(ids, options);
    try {
      while (!(await stopRequested(stop))) {
        const next = tokens.next();
        if (next.done) break;
        made.push(next.value);
      }
    } finally {
      tokens.return();
    }
    if (stop.signal.aborted) return;
    await send({ type: 'sample', when, step, prompt: asked, completion: await text.tokenizer.decode(Int32Array.from(made)) });
  }
}
