/** Counts a file's tokens as a model's trainer would see them. */
import { isEncoder, type TokenCounts, type TrainOn } from '@rowsmith/contracts';
import type { FileRecord, ObjectStore } from '@rowsmith/core';
import { countTokens } from '@rowsmith/data';
import { type ChatTemplate, loadChatTemplate, loadTokenizer, ModelError, resolveModelDir, type Tokenizer } from '@rowsmith/hf';
import type { BaseModel } from './base-models.js';

export interface TokenCounter {
  /** null: the model's tokenizer cannot be loaded, or the file is gone. */
  count(
    file: FileRecord,
    model: BaseModel,
    options: { readonly maxSeqLength: number; readonly trainOn: TrainOn },
  ): Promise<TokenCounts | null>;
}

/** About a second on a slow core: counting is a request, not a job. */
const maxBytes = 2 * 2 ** 20;
/** A tokenizer takes tenths of a second to load and tens of megabytes to keep. */
const kept = 2;

interface Text {
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate | null;
}

const orNull = (error: unknown): null => {
  if (error instanceof ModelError || (error as NodeJS.ErrnoException | null)?.code === 'ENOENT') return null;
  throw error;
};

export function tokenCounterOf(store: string, objects: Pick<ObjectStore, 'get'>): TokenCounter {
  const loaded = new Map<string, Promise<Text | null>>();
  const load = async (id: string): Promise<Text | null> => {
    const dir = await resolveModelDir(store, id);
    const tokenizer = await loadTokenizer(dir).catch(orNull);
    return tokenizer && { tokenizer, template: await loadChatTemplate(dir).catch(orNull) };
  };
  const textOf = (model: BaseModel): Promise<Text | null> => {
    const key = `${model.id} ${model.base_sha256}`;
    const text = loaded.get(key) ?? load(model.id);
    loaded.delete(key);
    loaded.set(key, text);
    text.catch(() => loaded.delete(key));
    for (const oldest of loaded.keys()) if (loaded.size > kept) loaded.delete(oldest);
    return text;
  };
  return {
    async count(file, model, { maxSeqLength, trainOn }) {
      const text = await textOf(model);
      // Rows of classifiers are counted by nobody yet; an estimate then goes by their bytes.
      if (isEncoder(model.config)) return null;
      const eosId = model.config.eos_token_ids[0];
      if (text === null || eosId === undefined) return null;
      const body = await objects.get(file.key);
      return body && countTokens(body, { ...text, model: model.id, maxSeqLength, trainOn, eosId, maxBytes });
    },
  };
}
