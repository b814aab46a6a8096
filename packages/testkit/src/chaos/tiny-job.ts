/** The job that a run repeats: all of its work in seconds, a checkpoint a step. */
const lines = Array.from({ length: 24 }, (_, i) =>
  JSON.stringify({
    messages: [
      { role: 'user', content: `say ${i}` },
      { role: 'assistant', content: `${i}, ${i}` },
    ],
  }),
);

export function tinyData(): FormData {
  const form = new FormData();
  form.set('purpose', 'fine-tune');
  form.set('file', new Blob([`${lines.join('\n')}\n`]), 'data.jsonl');
  return form;
}

export const tinyJob = (fileId: string, steps: number): Record<string, unknown> => ({
  ...{ model: 'tiny', training_file: fileId, validation_file: fileId, seed: 5 },
  hyperparameters: { n_epochs: 1, batch_size: 2, learning_rate_multiplier: 1 },
  row_sparse: {
    ...{ rows: 3, scorer: 'l2', targets: ['q_proj', 'v_proj', 'down_proj'], layers: [0, 1], learning_rate: 0.01 },
    ...{ max_seq_length: 64, gradient_accumulation_steps: 6, max_steps: steps, eval_every_steps: 10 },
    ...{ checkpoint_every_seconds: 0, keep_checkpoints: 3 },
  },
});
