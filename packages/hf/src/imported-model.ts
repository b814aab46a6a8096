import type { ModelConfig, PackedModelIndex } from '@rowsmith/contracts';
import type { PlannedTensor } from './families/packed-plan.js';
import type { TensorSource } from './tensor-source.js';

/** A model as it was found, checked, ready to be packed. close() its tensors when done. */
export interface ImportedModel {
  readonly kind: PackedModelIndex['source']['kind'];
  /** Base name of folder or file, or hub id: never a path of this machine. */
  readonly name: string;
  readonly revision: string | null;
  readonly config: ModelConfig;
  readonly tensors: TensorSource;
  /** What weights.bin will hold, in file order. Throws ModelError `bad_weights`, `unsupported`. */
  readonly plan: () => readonly PlannedTensor[];
  /** Weight files, for the source hash: label and path. */
  readonly weightFiles: readonly { readonly label: string; readonly path: string }[];
  /** Contents of the JSON files that go into the packed folder. */
  readonly documents: {
    readonly 'config.json': string;
    readonly 'tokenizer.json': string;
    readonly 'tokenizer_config.json': string;
  };
}
export type DocumentName = keyof ImportedModel['documents'];
/** What travels with an adapter, so that its folder serves on its own. */
export const tokenizerFileNames = ['tokenizer.json', 'tokenizer_config.json'] as const satisfies readonly DocumentName[];
export type TokenizerFileName = (typeof tokenizerFileNames)[number];
export const documentNames: readonly DocumentName[] = ['config.json', ...tokenizerFileNames];
