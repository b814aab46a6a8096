/** One attempt at a job, from the first byte of the base model to the published adapter. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { basePrecision } from '@rowsmith/adapter';
import {
  type CheckpointMetrics,
  type FromTrainer,
  type SampleTime,
  type TrainerPhase,
  type TrainerStart,
  trainerExit,
} from '@rowsmith/contracts';
import {
  applyRows,
  EngineError,
  effectiveRows,
  planFromIndices,
  selectedRows,
  type TrainableModel,
  type TrainEvent,
  train,
  trainableParameters,
} from '@rowsmith/engine';
import { openObjectStore } from '@rowsmith/storage';
import type { Logger } from '@rowsmith/telemetry';
import type { Channel } from './channel.js';
import { bindingOf, operatorsOf } from './checkpoint-manifest.js';
import { Checkpoints } from './checkpoints.js';
import { chooseRows, storeSelection } from './choose-rows.js';
import { type ChosenRows, chosenRows } from './chosen-rows.js';
import { classifierAdapter, startingRows, withRows } from './classifier-task.js';
import { evaluationMessage, samplesAt, totalStepsOf, trainingMessage } from './describe-attempt.js';
import type { MachineMemory } from './fit-memory.js';
import type { Objects } from './object-files.js';
import { openRun } from './open-run.js';
import { type AdapterInput, prepareAdapter, publishAdapter } from './publish-adapter.js';
import { findCheckpoint } from './resume.js';
import { stacksOf } from './row-stacks.js';
import { answer } from './samples.js';
import { Stopped, type StopRequest, stopHere } from './stop-request.js';
import { warmStart } from './warm-start.js';

export interface AttemptSurroundings {
  readonly channel: Channel;
  readonly stop: StopRequest;
  /** Hears the manifest keys of checkpoints that the worker has recorded. */
  readonly onRecorded: (listener: (manifestKey: string) => void) => void;
  /** Step of which, or of a later one, the worker asked for a checkpoint; null: it did not. */
  readonly wantedCheckpoint: () => number | null;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
  readonly memory: () => MachineMemory;
  /** That TensorFlow was started with. */
  readonly threads: number;
  readonly log: Logger;
}

/** Runs to an end that was reported; returns the exit code. Throws what `failureOf` explains. */
export async function runAttempt(start: TrainerStart, surroundings: AttemptSurroundings): Promise<number> {
  const workDir = await mkdtemp(join(tmpdir(), 'rowsmith-trainer-'));
  const store = await openObjectStore(start.storage);
  try {
    return await new AttemptRun(start, surroundings, store, workDir).run();
  } finally {
    store.close();
    await rm(workDir, { recursive: true, force: true });
  }
}

interface Done {
  readonly event: Extract<TrainEvent, { type: 'done' }>;
  /** What becomes the adapter. */
  readonly rows: ChosenRows;
}

class AttemptRun {
  readonly #folder: string;
  /** Of the last whole step. */
  #step = 0;
  #deletions: Promise<void> = Promise.resolve();

  constructor(
    private readonly start: TrainerStart,
    private readonly surroundings: AttemptSurroundings,
    private readonly store: Objects,
    private readonly workDir: string,
  ) {
    this.#folder = `jobs/${start.spec.job_id}/e${start.epoch}`;
  }

  async run(): Promise<number> {
    try {
      const exitCode = await this.#run();
      await this.#deletions;
      return exitCode;
    } catch (error) {
      const aborted = error instanceof Stopped || (error instanceof EngineError && error.code === 'aborted');
      if (!aborted || this.surroundings.stop.reason === null) throw error;
      return await this.#stopped();
    }
  }

  async #run(): Promise<number> {
    const { spec } = this.start;
    const { stop, log } = this.surroundings;
    const phaseOf = (phase: TrainerPhase, message: string) => this.#phase(phase, message);
    const opened = await openRun({ start: this.start, store: this.store, stop, log, memory: this.surroundings.memory(), phase: phaseOf });
    const { packed, engine, task, text, dataset, prompts, loaded, model, fresh } = opened;
    const binding = bindingOf(spec, dataset.sha256, operatorsOf(engine, model), this.start.config_sha256);
    const exportsBest = spec.row_sparse.export === 'best';
    const found = await findCheckpoint(this.store, this.start.resume_from, binding, model.linears, this.workDir, exportsBest);
    const begun = found.state ?? (await warmStart(this.store, spec, model.linears, this.workDir, fresh));
    await stopHere(stop);

    const choice = { store: this.store, spec, engine, model, examples: dataset.train.examples, workDir: this.workDir, signal: stop.signal };
    const { clock } = this.surroundings;
    const phase = (message: string) => this.#phase('scoring', message);
    const plan = begun
      ? planFromIndices(model, begun.indices, begun.columns, begun.biases)
      : await withRows(engine, model, fresh, () => chooseRows({ ...choice, clock, log, phase }));
    const start = begun?.buffers ?? (fresh.size > 0 ? stacksOf(startingRows(plan, fresh), model.linears).buffers : undefined);
    if (begun && !found.state) await storeSelection(this.store, spec, plan);
    await this.#send({
      type: 'planned',
      total_steps: totalStepsOf(this.start, dataset),
      trainable_parameters: trainableParameters(plan),
      train_examples: dataset.train.counts.examples,
      valid_examples: dataset.valid?.counts.examples ?? 0,
      truncated_examples: dataset.train.counts.truncated,
      rows: selectedRows(plan),
    });
    if (found.state || found.rejected.length > 0) {
      this.#step = found.state?.step ?? 0;
      await this.#send({ type: 'resumed', step: this.#step, rejected: [...found.rejected] });
    }
    const ask = async (when: SampleTime, step: number) => {
      if (loaded.language === null || 'pairs' in text) return;
      await answer(when, step, loaded.language, prompts, { spec, text, stop, send: (message) => this.#send(message) });
    };
    if (!found.state && prompts.length > 0) {
      await this.#phase('sampling', 'The base model answers the sample prompts');
      await ask('before', 0);
      await stopHere(stop);
    }

    const checkpoints = new Checkpoints({
      store: this.store,
      folder: this.#folder,
      epoch: this.start.epoch,
      binding,
      threads: this.surroundings.threads,
      linears: model.linears,
      keep: spec.row_sparse.keep_checkpoints,
      everyMs: spec.row_sparse.checkpoint_every_seconds * 1000,
      clock: this.surroundings.clock,
      wanted: this.surroundings.wantedCheckpoint,
      send: (message) => this.#send(message),
      earlier: found.from ? [found.from, ...found.older] : [],
      bestStep: spec.row_sparse.keep_best ? (found.state?.cursor['best_step'] ?? null) : null,
    });
    this.#deleteOldOnes(checkpoints);
    await this.#phase('training', trainingMessage(dataset, task));
    const events = train({
      engine,
      model,
      plan,
      trainExamples: dataset.train.examples,
      validExamples: dataset.valid?.examples ?? [],
      seed: spec.seed,
      hyperparameters: spec.hyperparameters,
      rowSparse: spec.row_sparse,
      resume: found.state ?? undefined,
      warmStart: start,
      clock: this.surroundings.clock,
      wantsCheckpoint: (step) => checkpoints.due(step),
      signal: stop.signal,
    });
    let done: Done | null = null;
    for await (const event of events) {
      switch (event.type) {
        case 'step':
          this.#step = event.point.step;
          await this.#send({ type: 'metric', point: event.point, total_steps: event.totalSteps });
          break;
        case 'evaluation':
          await this.#send({ type: 'metric', point: event.point, total_steps: event.totalSteps });
          if (samplesAt(event, spec)) await ask('during', event.point.step);
          break;
        case 'checkpoint':
          await checkpoints.write(event.state, metricsOf(event.metrics), event.best);
          break;
        case 'early_stop': {
          const { step, evaluations, best } = event;
          await this.#send({ type: 'early_stop', step, evaluations, best_step: best?.step ?? null, best_valid_loss: best?.loss ?? null });
          break;
        }
        case 'stopped':
          // A cancelled job keeps nothing; the others go on from here.
          if (stop.reason !== 'cancel') await checkpoints.write(event.state, metricsOf(event.metrics));
          return await this.#stopped();
        case 'done': {
          // What follows may fail (a full disk): the next attempt then has only the export to do.
          await checkpoints.write(event.state, metricsOf(event.metrics), spec.row_sparse.keep_best && event.best?.step === event.step);
          const best = await chosenRows(event, spec.row_sparse.export, checkpoints, {
            ...{ store: this.store, workDir: this.workDir, binding, linears: model.linears },
          });
          const { step, delta, metrics } = event;
          done = { event, rows: best ?? { step, delta, metrics: metricsOf(metrics), tunedRows: effectiveRows(model, delta) } };
          break;
        }
      }
    }
    if (done) {
      // The generator has given the model its base rows back.
      applyRows(engine, model, done.rows.delta);
      if (prompts.length > 0) {
        await this.#phase('sampling', 'The tuned model answers the sample prompts');
        await ask('after', done.rows.step);
        await stopHere(stop);
      }
      const { batch_size: batch } = spec.hyperparameters;
      const valid = { examples: dataset.valid?.examples ?? [], batch, signal: stop.signal };
      const classifier = task && loaded.classifier ? await classifierAdapter(task, loaded.classifier, packed, valid) : undefined;
      await stopHere(stop);
      if (classifier?.evaluation) await this.#phase('evaluating', evaluationMessage(classifier.evaluation));
      return await this.#finish(done, { packed, model, binding, classifier }, checkpoints.newest);
    }
    throw new EngineError('infra', 'aborted', 'training ended without a result');
  }

  /** The model holds the rows that become the adapter. */
  async #finish(
    { event, rows: { step, delta, metrics, tunedRows } }: Done,
    { packed, model, binding, classifier }: Pick<AdapterInput, 'packed' | 'binding' | 'classifier'> & { model: TrainableModel },
    checkpointSha256: string | null,
  ): Promise<number> {
    await this.#phase('verifying', 'Making the adapter and reading it back');
    const input = {
      packed,
      baseModel: this.start.spec.model,
      linears: model.linears,
      binding,
      step,
      delta,
      tunedRows: tunedRows ?? effectiveRows(model, delta),
      basePrecision: basePrecision(this.start.spec.row_sparse),
      classifier,
    };
    const prepared = await prepareAdapter(input, join(this.workDir, 'adapter'));
    await stopHere(this.surroundings.stop);
    await this.#phase('exporting', 'Storing the adapter');
    const manifest = await publishAdapter(this.store, `${this.#folder}/adapter`, prepared, checkpointSha256);
    await this.#send({
      type: 'done',
      step: event.step,
      trained_tokens: event.trainedTokens,
      manifest_key: manifest.key,
      manifest_sha256: manifest.sha256,
      metrics,
    });
    return trainerExit.done;
  }

  /** One after the other; a deletion that fails costs space, not the job. */
  #deleteOldOnes(checkpoints: Checkpoints): void {
    this.surroundings.onRecorded((manifestKey) => {
      this.#deletions = this.#deletions
        .then(() => checkpoints.recorded(manifestKey))
        .catch((error: unknown) => this.surroundings.log.warn({ op: 'retention', err: error }, 'old checkpoints stay'));
    });
  }

  async #stopped(): Promise<number> {
    await this.#send({ type: 'stopped', reason: this.surroundings.stop.reason ?? 'cancel', step: this.#step });
    return trainerExit.stopped;
  }

  #phase(phase: TrainerPhase, message: string): Promise<void> {
    return this.#send({ type: 'phase', phase, message });
  }

  #send(message: FromTrainer): Promise<void> {
    return this.surroundings.channel.send(message);
  }
}

const metricsOf = (metrics: Extract<TrainEvent, { type: 'done' }>['metrics']): CheckpointMetrics => ({ ...metrics });
