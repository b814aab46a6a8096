export { describeErrors } from './describe-errors.js';
export { type DroppedRow, type EncodeDatasetOptions, type EncodedDataset, encodeDataset } from './encode.js';
export { DataError, type DataErrorCode, type LineFault, type LineFaultCode } from './errors.js';
export { GzipError, openCompressed } from './gunzip.js';
export { type Line, type LineOptions, LineSplitter, readLines } from './lines.js';
export { concatenated, heldOutOf, holdOut, weighted, weightedRows } from './mixture.js';
export { type RowShape, rowShapes } from './rows.js';
export { countTokens } from './token-counts.js';
export { type LineError, type ValidationOptions, type ValidationReport, validateJsonl } from './validate.js';
