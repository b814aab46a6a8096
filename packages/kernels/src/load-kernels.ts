import { existsSync } from 'node:fs';
import { loadBinding } from '@rowsmith/native';
import { kernelsBuild } from './build-key.js';

/** The fused operators that a loaded build registers with TensorFlow; each has a stock-operator twin in the engine. */
export const kernelOps = [
  'RowsmithRmsNorm',
  'RowsmithRmsNormGrad',
  'RowsmithSplitHeads',
  'RowsmithMergeHeads',
  'RowsmithSwiglu',
  'RowsmithSwigluGrad',
  'RowsmithAttention',
  'RowsmithAttentionGrad',
  'RowsmithCrossEntropy',
  'RowsmithSquareSum',
  'RowsmithAdamW',
  'RowsmithMapWeights',
  'RowsmithQuantizeNf4',
  'RowsmithDequantizeNf4',
  'RowsmithQuantizeInt8',
  'RowsmithDequantizeInt8',
  'RowsmithMatMul',
  'RowsmithGatherColumns',
] as const;
export type KernelOp = (typeof kernelOps)[number];

/** `loaded: false` says why training falls back to stock operators; it is never an error. */
export type Kernels = { readonly loaded: true; readonly path: string } | { readonly loaded: false; readonly reason: string };

let loading: Promise<Kernels> | undefined;

/** Registers the fused operators with this process's TensorFlow, once. ROWSMITH_KERNELS=off keeps the stock operators; the path of a file is another build. */
export function loadKernels(env: Readonly<Record<string, string | undefined>> = process.env): Promise<Kernels> {
  loading ??= load(env);
  return loading;
}

async function load(env: Readonly<Record<string, string | undefined>>): Promise<Kernels> {
  if (env['ROWSMITH_KERNELS'] === 'off') return { loaded: false, reason: 'switched off by ROWSMITH_KERNELS=off' };
  const path = env['ROWSMITH_KERNELS'] || kernelsBuild().path;
  if (!existsSync(path)) return { loaded: false, reason: 'not built for this processor; `npm run setup` builds them' };
  loadBinding();
  try {
    process.dlopen({ exports: {} }, path);
    return { loaded: true, path };
  } catch (error) {
    return { loaded: false, reason: error instanceof Error ? error.message : String(error) };
  }
}
