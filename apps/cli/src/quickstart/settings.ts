/** What the quickstart trains: chosen so that two slow cores finish in a few minutes (figures: examples/README.md). */
export const quickstart = {
  model: 'smollm2-135m-instruct',
  trainingFile: 'examples/train.jsonl',
  validationFile: 'examples/valid.jsonl',
  promptsFile: 'examples/prompts.json',
  outFolder: 'quickstart-adapter',
  job: {
    suffix: 'quickstart',
    seed: 7,
    hyperparameters: { n_epochs: 1, batch_size: 4 },
    row_sparse: { rows: 16, learning_rate: 1e-3, eval_every_steps: 45, sample_max_tokens: 48 },
  },
} as const;
