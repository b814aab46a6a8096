import type { Handle } from '../runtime/handle.js';
import type { Operators } from './operators.js';

/** 1 / sqrt(mean(x^2) + eps): [N, C] → [N, 1] */
function inverseRms(o: Operators, x: Handle, eps: number): Handle {
  const meanSquare = o.reduceKeep('Mean', o.unary('Square', x), -1);
  return o.unary('Rsqrt', o.binary('AddV2', meanSquare, o.runtime.literal(eps)));
}

/** RMSNorm (Zhang & Sennrich, arXiv 1910.07467). */
export function rmsNorm(o: Operators, x: Handle, weight: Handle, eps: number): Handle {
  return o.runtime.scope((keep) => keep(o.binary('Mul', o.binary('Mul', x, inverseRms(o, x, eps)), weight)));
}

/** y = x r w with r = (mean(x^2) + eps)^-1/2. Let u = dy w; then dx = r u - x r^3 mean(u x). `normed` is y again. */
export function rmsNormBackward(
  o: Operators,
  dy: Handle,
  x: Handle,
  weight: Handle,
  eps: number,
  residual?: Handle,
): { dx: Handle; normed: Handle } {
  return o.runtime.scope((keep) => {
    const r = inverseRms(o, x, eps);
    const normed = keep(o.binary('Mul', o.binary('Mul', x, r), weight));
    const u = o.binary('Mul', dy, weight);
    const meanUx = o.reduceKeep('Mean', o.binary('Mul', u, x), -1);
    const coefficient = o.binary('Mul', meanUx, o.binary('Mul', o.unary('Square', r), r));
    const dx = o.binary('Sub', o.binary('Mul', u, r), o.binary('Mul', x, coefficient));
    return { dx: keep(residual ? o.binary('AddV2', dx, residual) : dx), normed };
  });
}
