import type { Operators } from '../ops/operators.js';
import { attribute } from '../runtime/binding.js';
import type { Handle } from '../runtime/handle.js';
import { scaleBlock } from './double-quantise.js';
import { type Int8Codes, type Nf4Codes, nf4Levels, nf4Thresholds, type Place } from './formats.js';

/** The reference form of the fused operators, equal to them in every bit; several times the matrix in temporary memory. */

const toU8 = [attribute.dtype('DstT', 'u8')];
const toI32 = [attribute.dtype('DstT', 'i32')];
const toF32 = [attribute.dtype('DstT', 'f32')];
const along1 = [attribute.int('axis', 1), attribute.int('N', 2), attribute.dtype('T', 'i32')];
/** Counts boundaries that are <= the value; of negated values and boundaries, those that are >= it. */
const negatedThresholds = [attribute.floats('boundaries', nf4Thresholds.map((threshold) => -threshold).reverse())];

const count = ({ shape }: Handle): number => shape.reduce((product, size) => product * size, 1);
const cast = (o: Operators, x: Handle, to: typeof toU8): Handle => o.runtime.execute('Cast', [x], to);

/** x [n] filled up with zeros to whole blocks: [blocks, block]. */
function inBlocks(o: Operators, x: Handle, block: number): Handle {
  const missing = (block - (count(x) % block)) % block;
  const flat = o.reshape(x, [count(x)]);
  return o.reshape(missing === 0 ? flat : o.concat([flat, o.runtime.upload(new Float32Array(missing), [missing], 'f32')], 0), [-1, block]);
}

/** x / scale, 0 where the scale is 0. */
function divided(o: Operators, x: Handle, scales: Handle): Handle {
  const { runtime } = o;
  const safe = runtime.execute('SelectV2', [runtime.execute('Greater', [scales, runtime.literal(0)]), scales, runtime.literal(1)]);
  return o.binary('RealDiv', x, safe);
}

export function quantiseNf4(o: Operators, w: Handle, block: number): Nf4Codes {
  const { runtime } = o;
  return runtime.scope((keep) => {
    const n = count(w);
    const blocks = inBlocks(o, w, block);
    const scales = o.reduceKeep('Max', o.unary('Abs', blocks), 1);
    const negated = runtime.execute('Neg', [divided(o, blocks, scales)]);
    const above = runtime.execute('Bucketize', [o.reshape(negated, [-1])], negatedThresholds);
    const codes = o.slice(o.binary('Sub', runtime.axis(nf4Thresholds.length), above), [0], [n]);
    const even = n % 2 === 0 ? codes : o.concat([codes, runtime.upload(new Int32Array(1), [1], 'i32')], 0);
    const pairs = o.reshape(even, [-1, 2]);
    const [first, second] = [o.slice(pairs, [0, 0], [-1, 1]), o.slice(pairs, [0, 1], [-1, 1])];
    const bytes = o.binary('AddV2', o.binary('Mul', first, runtime.axis(16)), second);
    return { codes: keep(cast(o, o.reshape(bytes, [-1]), toU8)), scales: keep(o.reshape(scales, [-1])) };
  });
}

export function dequantiseNf4(o: Operators, { codes, scales, twice }: Nf4Codes, block: number, { start, rows, columns }: Place): Handle {
  const { runtime } = o;
  return runtime.scope((keep) => {
    const bytes = cast(o, codes, toI32);
    const first = runtime.execute('FloorDiv', [bytes, runtime.axis(16)]);
    const second = o.binary('Sub', bytes, o.binary('Mul', first, runtime.axis(16)));
    const all = o.reshape(runtime.execute('Pack', [first, second], along1), [-1]);
    const levels = o.gather(runtime.upload(nf4Levels, [16], 'f32', true), all, 0);
    const byBlock = o.reshape(twice ? scalesOf(o, scales, twice) : scales, [-1, 1]);
    // The last block may be short, and an odd number of codes ends with half a byte of filling.
    const whole = count(byBlock) * block;
    const fitted = count(levels) > whole ? o.slice(levels, [0], [whole]) : inBlocks(o, levels, block);
    const values = o.reshape(o.binary('Mul', o.reshape(fitted, [-1, block]), byBlock), [-1]);
    return keep(o.reshape(o.slice(values, [start * columns], [rows * columns]), [rows, columns]));
  });
}

function scalesOf(o: Operators, scales: Handle, { codes, levels }: NonNullable<Nf4Codes['twice']>): Handle {
  const { runtime } = o;
  const blocks = Int32Array.from({ length: count(codes) }, (_, block) => Math.floor(block / scaleBlock));
  const own = o.gather(scales, runtime.upload(blocks, [blocks.length], 'i32'), 0);
  const product = o.binary('Mul', o.gather(levels, cast(o, codes, toI32), 0), own);
  return o.binary('AddV2', product, o.slice(levels, [256], [1]));
}

export function quantiseInt8(o: Operators, w: Handle): Int8Codes {
  const { runtime } = o;
  return runtime.scope((keep) => {
    const scales = o.binary('RealDiv', o.reduceKeep('Max', o.unary('Abs', w), 1), runtime.literal(127)); // [out, 1]
    const rounded = runtime.execute('Round', [divided(o, w, scales)]);
    const limited = runtime.execute('ClipByValue', [rounded, runtime.literal(-127), runtime.literal(127)]);
    const codes = cast(o, o.binary('AddV2', limited, runtime.literal(128)), toU8);
    return { codes: keep(codes), scales: keep(o.reshape(scales, [-1])) };
  });
}

export function dequantiseInt8(o: Operators, { codes, scales }: Int8Codes, { start, rows, columns }: Place): Handle {
  const { runtime } = o;
  return runtime.scope((keep) => {
    const part = cast(o, o.slice(codes, [start, 0], [rows, columns]), toF32);
    const own = o.reshape(o.slice(scales, [start], [rows]), [rows, 1]);
    return keep(o.binary('Mul', o.binary('Sub', part, runtime.literal(128)), own));
  });
}
