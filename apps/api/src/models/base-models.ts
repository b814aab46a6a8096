/** What the API needs to know of base models; the model store of packages/hf has it. */
import type { PackedModelIndex } from '@rowsmith/contracts';
import { findModel, listModels, type TokenizerFile, tokenizerFiles } from '@rowsmith/hf';

export type BaseModel = Pick<
  PackedModelIndex,
  'id' | 'created_at' | 'source' | 'base_sha256' | 'tokenizer_sha256' | 'config' | 'parameters' | 'weights_bytes'
>;

export interface BaseModels {
  /** By id. */
  list(): Promise<readonly BaseModel[]>;
  get(id: string): Promise<BaseModel | null>;
  /** Hashed now. Throws ModelError where they are not what the model's index pins. */
  tokenizerFiles(model: BaseModel): Promise<readonly TokenizerFile[]>;
}

/** Looks into the store at every call: models are added, replaced and removed while the server runs. What has not changed is not read again. */
export const baseModelsIn = (store: string): BaseModels => ({
  list: () => listModels(store),
  get: (id) => findModel(store, id),
  tokenizerFiles: (model) => tokenizerFiles(store, model),
});
