import type { LinearInfo } from '../../models/causal-lm.js';

/**
 * Cuts linears into passes over the data whose [out, in] f32 sums fit into `memoryBytes`; a matrix larger than that has a pass of its own. From the
 * top layer downwards: a pass over upper layers does not differentiate the lower ones.
 */
export function passesOf(linears: readonly LinearInfo[], memoryBytes: number): LinearInfo[][] {
  const passes: LinearInfo[][] = [];
  let left = 0;
  for (const linear of [...linears].reverse()) {
    const bytes = linear.outFeatures * linear.inFeatures * 4;
    const pass = passes.at(-1);
    if (pass && bytes <= left) {
      pass.unshift(linear);
      left -= bytes;
    } else {
      passes.push([linear]);
      left = memoryBytes - bytes;
    }
  }
  return passes;
}
