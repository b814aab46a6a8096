export { basePrecision } from './base-precision.js';
export {
  type AdapterDescription,
  baseReference,
  type CheckpointDescription,
  describeAdapter,
  descriptionName,
} from './describe-adapter.js';
export { AdapterError, type AdapterErrorCode, adapterErrorCodes } from './errors.js';
export { fusedPlacements, type Placement, type Placements } from './fused-modules.js';
export { adapterConfigName, adapterWeightsName, exportPeft, type PeftExport, type PeftExportOptions } from './peft-export.js';
export { type PeftStream, type PeftStreamOptions, streamPeft } from './peft-stream.js';
export {
  encodeRows,
  type ModuleSize,
  openRows,
  type ReadRowsOptions,
  type RowsFile,
  readRows,
  rowsFileName,
  rowsFormat,
} from './rows-file.js';
export type { BaseHead, BaseHeads } from './saved-heads.js';
export { type Verification, type VerifyInput, verifyPeftExport } from './verify-export.js';
