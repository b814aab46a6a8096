import type { CheckpointState, MetricPoint } from '@rowsmith/contracts';
import { EngineError } from '../errors.js';
import type { TrainedPart } from '../models/parts.js';
import { learningRate } from '../optim/schedule.js';
import { TrainableRows, withFreshMoments } from '../optim/trainable-rows.js';
import { indicesOf } from '../rows/plan-from-indices.js';
import { batchOf, labelledTokens } from './collate.js';
import { evaluate } from './evaluate.js';
import { addSums, means, noSums } from './loss-sums.js';
import { epochsDone, stepWindow } from './plan-steps.js';
import { checkSavedBiases, checkSavedRows, fromCheckpoint, type Progress, start, toCursor } from './progress.js';
import { setUpRun } from './run-setup.js';
import { aborted } from './turn.js';
import type { TrainEvent, TrainInput } from './types.js';
import { afterEvaluation, stopsEarly } from './validation-record.js';

/**
 * Trains the selected rows of `input.model`; see TrainInput and TrainEvent. Same input, same events but for `seconds`, whatever the number
 * of interruptions: k steps, a checkpoint and n steps in another process equal k + n steps, byte for byte.
 */
export async function* train(input: TrainInput): AsyncGenerator<TrainEvent, void, void> {
  const { engine, model, plan, trainExamples, validExamples, rowSparse, resume, clock, signal } = input;
  const run = setUpRun(input);
  const { totalSteps, batch } = run;
  const selection = indicesOf(plan);
  if (resume) {
    checkSavedRows(resume.indices, selection.indices);
    checkSavedRows(resume.columns ?? new Map(), selection.columns ?? new Map());
    checkSavedBiases(resume.biases, selection.biases);
  }
  let progress: Progress = resume ? fromCheckpoint(resume, run) : start;
  const firstStep = progress.step;
  let order: { readonly epoch: number; readonly examples: Int32Array } = { epoch: -1, examples: new Int32Array(0) };
  const rows = new TrainableRows(engine.ops, model, plan, resume?.buffers ?? (input.warmStart && withFreshMoments(input.warmStart)));

  const state = (): CheckpointState => ({ step: progress.step, buffers: rows.buffers(), ...selection, cursor: toCursor(progress, run) });
  const stopped = (): TrainEvent => ({ type: 'stopped', state: state(), metrics: progress.metrics });

  try {
    for (;;) {
      const { step } = progress;
      let best = false;
      if (run.evaluationDue(step) && progress.evaluatedStep < step) {
        const began = clock();
        const sums = await evaluate(model, validExamples, batch, rowSparse.packing, signal);
        if (!sums) return yield stopped();
        refuseNonFinite(step, 'validation loss', sums.lossSum);
        const { loss, accuracy } = means(sums);
        const metrics = { ...progress.metrics, full_valid_loss: loss, full_valid_mean_token_accuracy: accuracy };
        const validation =
          step === 0 ? progress.validation : afterEvaluation(progress.validation, step, loss, rowSparse.early_stopping_min_delta);
        progress = { ...progress, evaluatedStep: step, metrics, validation };
        best = rowSparse.keep_best && validation.best?.step === step;
        const values = { valid_loss: loss, valid_mean_token_accuracy: accuracy, seconds: (clock() - began) / 1000 };
        yield {
          type: 'evaluation',
          point: { ...emptyPoint, step, epoch: epochsDone(step, run), ...values },
          totalSteps,
          evaluation: validation.evaluations,
        };
      }
      if (step === totalSteps) break;
      if (stopsEarly(progress.validation, rowSparse.early_stopping_patience)) {
        const { withoutImprovement, best: lowest } = progress.validation;
        yield { type: 'early_stop', step, evaluations: withoutImprovement, best: lowest };
        break;
      }
      if (best || (step > firstStep && input.wantsCheckpoint?.(step)))
        yield { type: 'checkpoint', state: state(), metrics: progress.metrics, best };

      const began = clock();
      const { epoch, first, last } = stepWindow(step, run);
      if (order.epoch !== epoch) order = { epoch, examples: run.orderOf(epoch) };
      const window = Array.from(order.examples.subarray(first, last), (index) => trainExamples[index] as (typeof trainExamples)[number]);
      const tokens = window.reduce((sum, { ids }) => sum + ids.length, 0);
      const labelled = window.reduce((sum, example) => sum + labelledTokens(example), 0);

      let sums = noSums;
      for (let micro = 0; micro < window.length; micro += batch) {
        if (await aborted(signal)) return yield stopped();
        // The whole window's labelled tokens: a token weighs the same in a full and in a nearly empty micro-step.
        const scale = 1 / Math.max(1, labelled);
        const { update_dropout: rate } = rowSparse;
        const dropout = rate > 0 ? { rate, seed: input.seed, step, micro, update: (part: TrainedPart) => rows.updateOf(part) } : undefined;
        const { grads, ...part } = model.lossAndGrads(batchOf(window.slice(micro, micro + batch), rowSparse.packing), plan, scale, dropout);
        rows.accumulate(grads);
        sums = addSums(sums, part);
      }
      const gradientNorm = rows.gradientNorm();
      refuseNonFinite(step + 1, 'loss', sums.lossSum);
      refuseNonFinite(step + 1, 'gradient norm', gradientNorm);
      const rate = learningRate(step, run.schedule);
      const { weight_decay: weightDecay, max_grad_norm: maxGradNorm } = rowSparse;
      rows.update({ step: step + 1, learningRate: rate, weightDecay, maxGradNorm, gradientNorm });

      const { loss, accuracy } = means(sums);
      const metrics = { ...progress.metrics, step: step + 1, train_loss: loss, train_mean_token_accuracy: accuracy };
      progress = { ...progress, step: step + 1, trainedTokens: progress.trainedTokens + tokens, metrics };
      const point: MetricPoint = {
        ...emptyPoint,
        step: step + 1,
        epoch: epochsDone(step + 1, run),
        train_loss: loss,
        train_mean_token_accuracy: accuracy,
        learning_rate: rate,
        grad_norm: gradientNorm,
        tokens,
        labelled_tokens: labelled,
        seconds: (clock() - began) / 1000,
      };
      yield { type: 'step', point, totalSteps, trainedTokens: progress.trainedTokens };
    }
    const { step, trainedTokens, metrics, validation } = progress;
    const delta = rows.delta();
    for (const [name, { delta: d, columnDelta = [], biasDelta = [] }] of delta)
      if (![d, columnDelta, biasDelta].every((part) => part.every(Number.isFinite))) refuseNonFinite(step, `update of ${name}`, Number.NaN);
    yield { type: 'done', step, trainedTokens, delta, state: state(), metrics, best: validation.best };
  } finally {
    rows.dispose();
  }
}

const emptyPoint = {
  train_loss: null,
  train_mean_token_accuracy: null,
  valid_loss: null,
  valid_mean_token_accuracy: null,
  learning_rate: null,
  grad_norm: null,
  tokens: null,
  labelled_tokens: null,
} satisfies Partial<MetricPoint>;

function refuseNonFinite(step: number, what: string, value: number): void {
  if (Number.isFinite(value)) return;
  throw new EngineError(
    'user',
    'nan_loss',
    `step ${step}: the ${what} is not finite (${value}); lower the learning rate or set max_grad_norm`,
    'row_sparse.learning_rate',
  );
}
