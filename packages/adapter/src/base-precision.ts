import type { BasePrecision, RowSparseConfig } from '@rowsmith/contracts';

/** How a job holds its base in training; undefined: f32. */
export function basePrecision({
  quantization,
  double_quantization,
}: Pick<RowSparseConfig, 'quantization' | 'double_quantization'>): BasePrecision | undefined {
  if (quantization === 'none') return undefined;
  return quantization === 'nf4' && double_quantization ? 'nf4_double' : quantization;
}
