import type { EncoderConfig } from '@rowsmith/contracts';
import { EngineError } from '../errors.js';
import { checkColumns, checkIndices } from './batch.js';
import type { Batch, RowPlan, Sequences } from './causal-lm.js';
import { partsOf } from './parts.js';

/** What a classifier reads of a batch. Throws EngineError `invalid_batch` with the place at fault. */
export function sequencesOf({ size, length, ids, sequences, lengths }: Batch, config: EncoderConfig, classes: number): Sequences {
  if (!Number.isInteger(size) || !Number.isInteger(length) || size < 1 || length < 1)
    fail(`a batch of ${size} sequences of ${length} tokens`);
  if (length > config.max_position_embeddings) fail(`${length} tokens, but the model has ${config.max_position_embeddings} positions`);
  if (!sequences || lengths) fail('a classifier takes padded sequences, each with its length and class');
  const { counts, types, classes: labels } = sequences;
  if (ids.length !== size * length || types.length !== ids.length || counts.length !== size || labels.length !== size)
    fail(`${size} x ${length} tokens, but ${ids.length} ids, ${types.length} types, ${counts.length} lengths and ${labels.length} classes`);
  const within = (what: string, values: Int32Array, from: number, to: number) => {
    const at = values.findIndex((value) => value < from || value >= to);
    if (at >= 0) fail(`${what} ${values[at]} at ${at} is not in [${from}, ${to})`);
  };
  within('token id', ids, 0, config.vocab_size);
  within('token type', types, 0, config.type_vocab_size);
  within('length', counts, 1, length + 1);
  within('class', labels, 0, classes);
  return sequences;
}

/** Places of the tokens that are not padding, in [B*T]. */
export function realRows({ length }: Batch, { counts }: Sequences): Int32Array {
  return Int32Array.from(Array.from(counts).flatMap((count, row) => Array.from({ length: count }, (_, t) => row * length + t)));
}

export function checkEncoderPlan({ modules }: RowPlan, config: EncoderConfig): void {
  for (const module of modules) {
    if (module.layer > config.n_layers) invalidRows(`${module.name}: the model has ${config.n_layers} layers`);
    if (partsOf(module).length === 0) invalidRows(`${module.name} has no rows: leave it out of the plan`);
    checkIndices(module, module.indices);
    checkColumns(module, module.columns ?? new Int32Array(0));
  }
}

function fail(message: string): never {
  throw new EngineError('user', 'invalid_batch', message);
}

function invalidRows(message: string): never {
  throw new EngineError('user', 'invalid_rows', message);
}
