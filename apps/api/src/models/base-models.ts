/** What the API needs to know of base models; the model store of packages/hf has it. */
import type { PackedModelIndex } from '@rowsmith/contracts';
import { listModels } from '@rowsmith/hf';

export type BaseModel = Pick<
  PackedModelIndex,
  'id' | 'created_at' | 'base_sha256' | 'tokenizer_sha256' | 'config' | 'parameters' | 'weights_bytes'
>;

export interface BaseModels {
  /** By id. */
  list(): Promise<readonly BaseModel[]>;
  get(id: string): Promise<BaseModel | null>;
}

/** Reads the store at every call: models are added while the server runs, and an index is small. */
export function baseModelsIn(store: string): BaseModels {
  const list = () => listModels(store);
  return { list, get: async (id) => (await list()).find((model) => model.id === id) ?? null };
}
