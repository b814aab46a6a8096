import type { Handle } from '../runtime/handle.js';
import type { Operators } from './operators.js';

/** silu(gate) * up (Shazeer, arXiv 2002.05202). */
export function swiGlu(o: Operators, gate: Handle, up: Handle): Handle {
  return o.runtime.scope((keep) => {
    const sigmoid = o.unary('Sigmoid', gate);
    const silu = o.binary('Mul', gate, sigmoid);
    o.runtime.release(sigmoid);
    return keep(o.binary('Mul', silu, up));
  });
}

/** With s = sigmoid(g): silu = g s, silu' = s (1 + g - silu). */
export function swiGluBackward(o: Operators, dAct: Handle, gate: Handle, up: Handle): { act: Handle; dGate: Handle; dUp: Handle } {
  return o.runtime.scope((keep) => {
    const sigmoid = o.unary('Sigmoid', gate);
    const silu = o.binary('Mul', gate, sigmoid);
    const act = keep(o.binary('Mul', silu, up));
    const dUp = keep(o.binary('Mul', dAct, silu));
    o.runtime.release(silu);
    // d(silu)/dg as s + (silu - silu s): SigmoidGrad(s, g) = g s (1 - s) is the bracket in one pass.
    const slope = o.binary('AddV2', sigmoid, o.binary('SigmoidGrad', sigmoid, gate));
    const dGate = keep(o.binary('Mul', o.binary('Mul', dAct, up), slope));
    return { act, dGate, dUp };
  });
}
