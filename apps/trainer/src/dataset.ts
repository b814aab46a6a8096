import { canonicalJson, dataIdentity, isEncoder, type JobSpec, type ModelConfig, type ObjectRef } from '@rowsmith/contracts';
import { concatenated, DataError, type EncodedDataset, encodeClassified, encodeDataset, holdOut, weighted } from '@rowsmith/data';
import { type ChatTemplate, loadChatTemplate, loadTokenizer, ModelError, type PackedModel, type Tokenizer } from '@rowsmith/hf';
import type { ClassifierText } from './classifier-task.js';
import { type Objects, sha256Of, verifiedObject, verifyObject } from './object-files.js';
import { TrainerError } from './trainer-error.js';

export interface Text {
  readonly tokenizer: Tokenizer;
  /** null: the model has none; chat rows are refused then. */
  readonly template: ChatTemplate | null;
}
export interface Dataset {
  readonly train: EncodedDataset;
  readonly valid: EncodedDataset | null;
  /** Binds a checkpoint to the files and to what turned them into tokens. */
  readonly sha256: string;
}

export async function loadText(packed: PackedModel): Promise<Text> {
  const template = await loadChatTemplate(packed.dir).catch((error: unknown) => {
    if (error instanceof ModelError && error.code === 'bad_template') return null;
    throw error;
  });
  return { tokenizer: await loadTokenizer(packed.dir), template };
}

/** Both files of the job as tokens. Throws TrainerError: (user) `invalid_training_file`, `invalid_validation_file`, `no_examples`, `no_labelled_tokens`; (infra) when an object is damaged. */
export async function loadDataset(store: Objects, spec: JobSpec, packed: PackedModel, text: Text | ClassifierText): Promise<Dataset> {
  const { train, heldOut } = await trainingData(store, spec, packed, text);
  const valid = heldOut ?? (spec.validation_data && (await encoded(store, spec.validation_data, 'validation_file', spec, packed, text)));
  const sha256 = sha256Of(canonicalJson(dataIdentity(spec, packed.index.tokenizer_sha256)));
  return { train, valid, sha256 };
}

/** All training files, each without its held-out part and as often as its weight says, one after the other. */
async function trainingData(
  store: Objects,
  spec: JobSpec,
  packed: PackedModel,
  text: Text | ClassifierText,
): Promise<{ readonly train: EncodedDataset; readonly heldOut: EncodedDataset | null }> {
  const train: EncodedDataset[] = [];
  const heldOut: EncodedDataset[] = [];
  for (const { data, weight } of spec.mixture ?? [{ data: spec.training_data, weight: 1 }]) {
    const whole = await encoded(store, data, 'training_file', spec, packed, text);
    const parts = spec.validation_split === undefined ? { train: whole, heldOut: null } : holdOut(whole, spec.validation_split, spec.seed);
    train.push(weighted(parts.train, weight, spec.seed));
    if (parts.heldOut !== null) heldOut.push(parts.heldOut);
  }
  const all = concatenated(train);
  if (all.examples.length === 0)
    throw new TrainerError('user', 'no_examples', 'Nothing is left to train on: take a smaller validation_split.', 'validation_split');
  return { train: all, heldOut: spec.validation_split === undefined ? null : concatenated(heldOut) };
}

async function encoded(
  store: Objects,
  ref: ObjectRef,
  param: 'training_file' | 'validation_file',
  { row_sparse, invalid_sample_skip_percentage: skipPercentage = 0 }: JobSpec,
  { index }: PackedModel,
  text: Text | ClassifierText,
): Promise<EncodedDataset> {
  const invalid = (message: string, cause?: unknown) => new TrainerError('user', `invalid_${param}`, message, param, { cause });
  // Hashed first: a damaged object must not be reported as the user's broken line.
  await verifyObject(store, ref);
  const dataset = await encodedRows(verifiedObject(store, ref), row_sparse, skipPercentage > 0, index.config, text).catch(
    (error: unknown) => {
      throw error instanceof DataError ? invalid(error.message, error) : error;
    },
  );
  const { rows, skipped } = dataset.counts;
  const percentage = (100 * skipped) / Math.max(1, rows + skipped);
  if (percentage > skipPercentage) {
    const [first] = dataset.skipped;
    const where = first ? ` First: line ${first.line}: ${first.reason}.` : '';
    throw invalid(
      `${skipped} of ${rows + skipped} rows cannot be encoded, ${percentage.toFixed(2)} %; ${skipPercentage} % are allowed.${where}`,
    );
  }
  if (dataset.examples.length === 0) {
    const [first] = dataset.dropped;
    const message = `No example has a token to learn. ${first ? `Line ${first.line}: ${first.reason}.` : 'The file has no examples.'}`;
    throw new TrainerError('user', first ? 'no_labelled_tokens' : 'no_examples', message, param);
  }
  return dataset;
}

async function encodedRows(
  source: AsyncIterable<Uint8Array>,
  { train_on: trainOn, max_seq_length: maxSeqLength }: JobSpec['row_sparse'],
  skipInvalid: boolean,
  config: ModelConfig,
  text: Text | ClassifierText,
): Promise<EncodedDataset> {
  if ('pairs' in text) return encodeClassified(source, { tokenizer: text.pairs, classes: text.labels, skipInvalid });
  const eosId = isEncoder(config) ? undefined : config.eos_token_ids[0];
  if (eosId === undefined) throw new TrainerError('precheck', 'unsupported', 'the model has no end-of-text token', 'model');
  return encodeDataset(source, { ...text, trainOn, maxSeqLength, eosId, skipInvalid });
}
