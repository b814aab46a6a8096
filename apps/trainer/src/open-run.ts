import type { RowDelta, TrainerPhase, TrainerStart } from '@rowsmith/contracts';
import {
  type CausalLM,
  type Engine,
  newClassifier,
  openEngine,
  quantizationOf,
  rowTensors,
  type SequenceClassifier,
  type TrainableModel,
} from '@rowsmith/engine';
import { readAhead } from '@rowsmith/native';
import type { Logger } from '@rowsmith/telemetry';
import { openBaseModel } from './base-model.js';
import { type ClassifierTask, classifierTask } from './classifier-task.js';
import { loadDataset, loadText } from './dataset.js';
import { headMessage } from './describe-attempt.js';
import { asFast, fitMemory, type MachineMemory } from './fit-memory.js';
import type { Objects } from './object-files.js';
import { encodePrompts } from './samples.js';
import { type StopRequest, stopHere } from './stop-request.js';

export interface OpenRunInput {
  readonly start: TrainerStart;
  readonly store: Objects;
  readonly stop: StopRequest;
  readonly log: Logger;
  readonly memory: MachineMemory;
  readonly phase: (phase: TrainerPhase, message: string) => Promise<void>;
}

type Loaded =
  | { readonly language: CausalLM; readonly classifier: null }
  | { readonly language: null; readonly classifier: SequenceClassifier };

/** TensorFlow, the encoded data and the base model in memory: what an attempt has before it knows where to begin. Throws Stopped, and what `failureOf` explains. */
export async function openRun({ start: { spec, model_dir }, store, stop, log, memory: machine, phase }: OpenRunInput) {
  await phase('loading_model', `Loading the base model ${spec.model}`);
  const packed = await openBaseModel(model_dir, spec.base_sha256);
  // A disk fills the page cache while the data are encoded; the weights are mapped, so the first passes would else wait for it page by page.
  readAhead(packed.weightsPath);
  const engine = await openEngine({ precision: spec.row_sparse.precision, execution: spec.row_sparse.execution });
  const { operators, execution } = engine;
  log.info({ op: 'engine', tensorflow: engine.ops.runtime.tensorflowVersion, operators, execution }, 'engine opened');
  await stopHere(stop);

  await phase('loading_data', 'Reading and encoding the data');
  const task = await classifierTask(store, spec, packed);
  const text = task?.text ?? (await loadText(packed));
  const dataset = await loadDataset(store, spec, packed, text);
  const prompts = 'pairs' in text ? [] : await encodePrompts(spec, text, packed.index.config.max_position_embeddings);
  const byGraphs = execution === 'graph' && spec.row_sparse.quantization === 'none';
  const { memory, estimate } = fitMemory(packed, byGraphs ? asFast(spec) : spec, dataset.train.examples, operators.kind, machine);
  log.info({ op: 'memory', memory, estimate }, 'memory estimated');
  const loaded = await load(engine, packed, task, {
    ...{ rowTensors: rowTensors(packed.index.config, spec.row_sparse), quantization: quantizationOf(spec.row_sparse), memory },
  });
  const model: TrainableModel = loaded.language === null ? loaded.classifier : loaded.language;
  if (model.execution !== execution)
    log.warn({ op: 'engine', asked: execution, execution: model.execution }, 'a quantised base is not computed by graphs');
  const fresh: RowDelta = loaded.classifier ? newClassifier(loaded.classifier, spec.seed) : new Map();
  if (task) await phase('loading_data', headMessage(task));
  return { packed, engine, task, text, dataset, prompts, loaded, model, fresh };
}

async function load(
  engine: Engine,
  packed: Parameters<Engine['loadModel']>[0],
  task: ClassifierTask | null,
  options: Parameters<Engine['loadModel']>[1],
): Promise<Loaded> {
  return task
    ? { language: null, classifier: await engine.loadClassifier(packed, { ...options, classes: task.newClasses }) }
    : { language: await engine.loadModel(packed, options), classifier: null };
}
