import type { ErrorClass } from '@rowsmith/contracts';

export type EngineErrorCode =
  /** `row_sparse` does not fit the model; param names the field. */
  | 'unknown_target'
  | 'invalid_layers'
  | 'invalid_rows'
  | 'no_rows_selected'
  /** The examples cannot be trained on. */
  | 'no_examples'
  | 'no_labelled_tokens'
  /** Loss or gradient is NaN or infinite. */
  | 'nan_loss'
  /** A checkpoint or row-delta does not belong to this model, plan or format. */
  | 'checkpoint_mismatch'
  /** The caller's tokens, options or weights do not fit the model. */
  | 'invalid_batch'
  | 'invalid_options'
  | 'invalid_model'
  /** The estimate says that training does not fit the memory at hand. */
  | 'out_of_memory'
  /** An operator failed, for example for want of memory. */
  | 'tensorflow'
  /** The caller's signal fired. */
  | 'aborted';

/** A fault found by the engine. `param`: JSON path in the job, null where none is at fault. */
export class EngineError extends Error {
  override readonly name = 'EngineError';
  constructor(
    readonly errorClass: ErrorClass,
    readonly code: EngineErrorCode,
    message: string,
    readonly param: string | null = null,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
