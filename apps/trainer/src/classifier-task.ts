/** What a job on an encoder needs beyond one on a decoder: its classes, texts in pairs, and heads that begin with it. */
import type { BaseHeads } from '@rowsmith/adapter';
import { type EncodedExample, type EncoderConfig, isEncoder, type JobSpec, type ModuleRows, type RowDelta } from '@rowsmith/contracts';
import { classesOf, labelsOf } from '@rowsmith/data';
import {
  accuracyOf,
  applyRows,
  confusionOf,
  type Engine,
  isHead,
  type LinearInfo,
  matthewsOf,
  type RowPlan,
  removeRows,
  type SequenceClassifier,
  type TrainableModel,
} from '@rowsmith/engine';
import { loadPairTokenizer, type PackedModel, type PairTokenizer } from '@rowsmith/hf';
import { readPackedBias, readPackedRows } from './base-model.js';
import { type Objects, verifiedObject, verifyObject } from './object-files.js';
import type { AdapterClassifier } from './publish-adapter.js';
import { TrainerError } from './trainer-error.js';

/** What turns rows into examples. */
export interface ClassifierText {
  readonly pairs: PairTokenizer;
  /** Labels as they are in the data; a label's place is its class. */
  readonly labels: readonly string[];
}
export interface ClassifierTask {
  readonly text: ClassifierText;
  /** Names of the classes, in the order of the logits. */
  readonly classes: readonly string[];
  /** Classes of a new classifier; undefined: that of the base goes on. */
  readonly newClasses: number | undefined;
}

const maxClasses = 1000;

/**
 * The classes are those of the base's classifier where every training label is one of them, by name or by number: it goes on. Otherwise they are the labels
 * of the training data, in order, and a new classifier begins. null: the model is no encoder. Throws TrainerError (user) `one_class`, `too_many_classes`.
 */
export async function classifierTask(store: Objects, spec: JobSpec, packed: PackedModel): Promise<ClassifierTask | null> {
  const { config } = packed.index;
  if (!isEncoder(config)) return null;
  const labels = new Set<string>();
  for (const { data } of spec.mixture ?? [{ data: spec.training_data }]) {
    await verifyObject(store, data);
    for (const label of await labelsOf(verifiedObject(store, data))) labels.add(label);
  }
  const pairs = await loadPairTokenizer(packed.dir, spec.row_sparse.max_seq_length);
  const kept = keptLabels(config, labels);
  if (kept) return { text: { pairs, labels: kept }, classes: config.classes ?? [], newClasses: undefined };
  const classes = classesOf(labels);
  const refuse = (code: string, message: string) => new TrainerError('user', code, message, 'training_file');
  if (classes.length < 2)
    throw refuse('one_class', `The training rows have ${classes.length === 0 ? 'no label' : 'one label'}: there is nothing to tell apart.`);
  if (classes.length > maxClasses)
    throw refuse(
      'too_many_classes',
      `The training rows have ${classes.length} labels; a classifier has at most ${maxClasses}. Are they numbers to predict?`,
    );
  return { text: { pairs, labels: classes }, classes, newClasses: classes.length };
}

function keptLabels({ classes }: EncoderConfig, labels: ReadonlySet<string>): readonly string[] | null {
  if (!classes || labels.size === 0) return null;
  const byName = new Set(classes);
  if ([...labels].every((label) => byName.has(label))) return classes;
  const numbers = classes.map((_, place) => String(place));
  return [...labels].every((label) => numbers.includes(label)) ? numbers : null;
}

/**
 * Updates that training starts from, of every module of the plan: zeros, but `begun` where it is given (heads that the base lacks are zeros there). The
 * engine takes them as it takes those of a warm start.
 */
export function startingRows({ modules }: RowPlan, begun: RowDelta): RowDelta {
  return new Map(
    modules.map(({ name, indices, columns, biases, inFeatures, outFeatures }): readonly [string, ModuleRows] => {
      const zeros: ModuleRows = {
        ...{ indices, delta: new Float32Array(indices.length * inFeatures), outFeatures, inFeatures },
        ...(columns && { columns, columnDelta: new Float32Array(columns.length * outFeatures) }),
        ...(biases && { biasDelta: new Float32Array(indices.length) }),
      };
      return [name, begun.get(name) ?? zeros];
    }),
  );
}

/** Rows of an earlier adapter with whole heads of this job's shape: the adapter's where they fit, else new ones, or the base's unchanged. */
export function withHeadsOf(rows: RowDelta, linears: readonly LinearInfo[], fresh: RowDelta): RowDelta {
  const heads = linears.filter(isHead).map((linear): readonly [string, ModuleRows] => {
    const { name, outFeatures, inFeatures } = linear;
    const earlier = rows.get(name);
    if (earlier?.outFeatures === outFeatures && earlier.inFeatures === inFeatures && earlier.biasDelta) return [name, earlier];
    const indices = Int32Array.from({ length: outFeatures }, (_, row) => row);
    return [name, fresh.get(name) ?? (startingRows({ modules: [{ ...linear, indices, biases: true }] }, fresh).get(name) as ModuleRows)];
  });
  const names = new Set(['classifier', ...heads.map(([name]) => name)]);
  return new Map([...[...rows].filter(([name]) => !names.has(name)), ...heads]);
}

/** Heads before training, straight from the packed file: zeros where it has none. */
async function baseHeads(packed: PackedModel, { linears, fresh }: SequenceClassifier): Promise<BaseHeads> {
  const heads = new Map<string, { weight: Float32Array; bias: Float32Array }>();
  for (const linear of linears.filter(isHead)) {
    const { name, outFeatures, inFeatures } = linear;
    const zeros = { weight: new Float32Array(outFeatures * inFeatures), bias: new Float32Array(outFeatures) };
    const all = Int32Array.from({ length: outFeatures }, (_, row) => row);
    const stored = async () => ({ weight: await readPackedRows(packed, linear, all), bias: await readPackedBias(packed, linear) });
    heads.set(name, fresh.has(linear) ? zeros : await stored());
  }
  return heads;
}

/** `body` with the updates applied to the model, which holds its base again afterwards, whatever happens. */
export async function withRows<T>(engine: Engine, model: TrainableModel, rows: RowDelta, body: () => Promise<T>): Promise<T> {
  const applied = applyRows(engine, model, rows);
  try {
    return await body();
  } finally {
    removeRows(engine, model, applied);
  }
}

/** What the adapter says of the classifier. The model holds the rows that become it. */
export async function classifierAdapter(
  { classes }: ClassifierTask,
  model: SequenceClassifier,
  packed: PackedModel,
  { examples, batch, signal }: { readonly examples: readonly EncodedExample[]; readonly batch: number; readonly signal: AbortSignal },
): Promise<AdapterClassifier> {
  const heads = await baseHeads(packed, model);
  const confusion = examples.length > 0 ? await confusionOf(model, examples, batch, signal) : null;
  if (confusion === null) return { classes, heads };
  return { classes, heads, evaluation: { examples: examples.length, accuracy: accuracyOf(confusion), matthews: matthewsOf(confusion) } };
}
