export { ModelError, type ModelErrorCode, modelErrorCodes } from './errors.js';
export { importGguf } from './gguf/import-gguf.js';
export type { ImportedModel } from './imported-model.js';
export { type Added, type AddOptions, addImported, defaultModelId } from './packed/add-model.js';
export { checkModelId, listModels, modelStore, resolveModelDir } from './packed/model-store.js';
export { openPackedModel, type PackedModel } from './packed/open-packed.js';
export type { OnProgress, Progress } from './packed/write-packed.js';
