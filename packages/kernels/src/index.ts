export { kernelsBuild } from './build-key.js';
export { type EnsureKernelsOptions, ensureKernels } from './ensure-kernels.js';
export { type KernelOp, type Kernels, kernelOps, loadKernels } from './load-kernels.js';
