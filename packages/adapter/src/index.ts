export { type AdapterDescription, describeAdapter, descriptionName } from './describe-adapter.js';
export { AdapterError, type AdapterErrorCode, adapterErrorCodes } from './errors.js';
export type { Placement, Placements } from './fused-modules.js';
export { adapterConfigName, adapterWeightsName, exportPeft, type PeftExport, type PeftExportOptions } from './peft-export.js';
export { encodeRows, type ReadRowsOptions, readRows, rowsFileName, rowsFormat } from './rows-file.js';
export type { BaseHead, BaseHeads } from './saved-heads.js';
export { type Verification, type VerifyInput, verifyPeftExport } from './verify-export.js';
