export type DType = 'f32' | 'i32' | 'i64' | 'bool' | 'u8' | 'bf16';

/** A tensor that TensorFlow owns, by the binding's integer id. Nothing collects it: an arena or `release` must. */
export interface Handle {
  readonly id: number;
  readonly shape: readonly number[];
  readonly dtype: DType;
}
