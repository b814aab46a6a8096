import type { FromTrainer, JobSpec } from '@rowsmith/contracts';
import type { CausalLM } from '@rowsmith/engine';
import type { Text } from './dataset.js';
import { type StopRequest, stopHere } from './stop-request.js';
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

/** Greedy answers of the model as it is now. Blocks the event loop for each answer; stop requests are honoured between them. */
export async function answer(
  when: 'before' | 'after',
  model: CausalLM,
  prompts: readonly Prompt[],
  { spec, text, stop, send }: { spec: JobSpec; text: Text; stop: StopRequest; send: (message: FromTrainer) => Promise<void> },
): Promise<void> {
  for (const prompt of prompts) {
    await stopHere(stop);
    const options = { maxNewTokens: spec.row_sparse.sample_max_tokens, stopIds: model.config.eos_token_ids };
    const completion = await text.tokenizer.decode(model.generate(prompt.ids, options));
    await send({ type: 'sample', when, prompt: prompt.text, completion });
  }
}
