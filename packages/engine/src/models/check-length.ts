import type { DecoderConfig } from '@rowsmith/contracts';
import { EngineError } from '../errors.js';

/** Throws EngineError `invalid_batch`. */
export function checkLength(length: number, config: DecoderConfig): void {
  if (length < 1) throw new EngineError('user', 'invalid_batch', 'a sequence needs at least one token');
  if (length > config.max_position_embeddings)
    throw new EngineError('user', 'invalid_batch', `${length} tokens, but the model has ${config.max_position_embeddings} positions`);
}
