import type { Handle } from '../runtime/handle.js';
import type { Operators } from './operators.js';
import type { Activation } from './ops.js';

/** act(gate) * up (Shazeer, arXiv 2002.05202). */
export function swiGlu(o: Operators, gate: Handle, up: Handle, activation: Activation): Handle {
  return o.runtime.scope((keep) => keep(o.binary('Mul', activate(o, gate, activation), up)));
}

export function swiGluBackward(
  o: Operators,
  dAct: Handle,
  gate: Handle,
  up: Handle,
  activation: Activation,
): { act: Handle; dGate: Handle; dUp: Handle } {
  return o.runtime.scope((keep) => {
    const { value, slope } = activation === 'silu' ? siluAndSlope(o, gate) : geluAndSlope(o, gate);
    const act = keep(o.binary('Mul', value, up));
    const dUp = keep(o.binary('Mul', dAct, value));
    const dGate = keep(o.binary('Mul', o.binary('Mul', dAct, up), slope));
    return { act, dGate, dUp };
  });
}

function activate(o: Operators, x: Handle, activation: Activation): Handle {
  return o.runtime.scope((keep) => {
    if (activation === 'silu') return keep(o.binary('Mul', x, o.unary('Sigmoid', x)));
    return keep(o.binary('Mul', o.binary('Mul', x, o.runtime.literal(0.5)), o.binary('AddV2', geluTanh(o, x), o.runtime.literal(1))));
  });
}

/** silu = x s with s = sigmoid(x); silu' = s + x s (1 - s), and SigmoidGrad(s, x) is the second term in one pass. */
function siluAndSlope(o: Operators, x: Handle): { value: Handle; slope: Handle } {
  const sigmoid = o.unary('Sigmoid', x);
  return { value: o.binary('Mul', x, sigmoid), slope: o.binary('AddV2', sigmoid, o.binary('SigmoidGrad', sigmoid, x)) };
}

const sqrtTwoOverPi = Math.sqrt(2 / Math.PI);
const cubic = 0.044715;

/** t = tanh(sqrt(2/pi) (x + 0.044715 x^3)) (Hendrycks & Gimpel, arXiv 1606.08415). */
function geluTanh(o: Operators, x: Handle): Handle {
  const { runtime } = o;
  return runtime.scope((keep) => {
    const bracket = o.binary(
      'AddV2',
      o.binary('Mul', o.unary('Square', x), runtime.literal(sqrtTwoOverPi * cubic)),
      runtime.literal(sqrtTwoOverPi),
    );
    return keep(o.unary('Tanh', o.binary('Mul', x, bracket)));
  });
}

/** gelu = x h with h = (1 + t) / 2; gelu' = h + x (1 - t^2) / 2 * sqrt(2/pi) (1 + 3 * 0.044715 x^2). */
function geluAndSlope(o: Operators, x: Handle): { value: Handle; slope: Handle } {
  const { runtime } = o;
  const [half, one] = [runtime.literal(0.5), runtime.literal(1)];
  return runtime.scope((keep) => {
    const t = geluTanh(o, x);
    const h = o.binary('Mul', o.binary('AddV2', t, one), half);
    const inner = o.binary(
      'AddV2',
      o.binary('Mul', o.unary('Square', x), runtime.literal(1.5 * cubic * sqrtTwoOverPi)),
      runtime.literal(0.5 * sqrtTwoOverPi),
    );
    const bend = o.binary('Mul', o.binary('Mul', x, inner), o.binary('Sub', one, o.unary('Square', t)));
    return { value: keep(o.binary('Mul', x, h)), slope: keep(o.binary('AddV2', h, bend)) };
  });
}
