import { attribute } from '../../runtime/binding.js';
import type { Handle } from '../../runtime/handle.js';
import { philox } from '../../runtime/philox.js';
import type { Runtime } from '../../runtime/runtime.js';

const f32: ReturnType<typeof attribute.dtype>[] = [attribute.dtype('dtype', 'f32')];

/**
 * Standard normal noise [out, in], a function of (seed, direction, name) alone: made again whenever it is needed instead of being stored. TensorFlow's
 * stateless generator is Philox too; its key is drawn from ours, so tensors and directions do not share streams.
 */
export function normalNoise(runtime: Runtime, seed: number, direction: number, name: string, shape: readonly [number, number]): Handle {
  const words = philox(seed, `zo ${name}`, direction);
  return runtime.scope((keep) => {
    const size = runtime.upload(Int32Array.from(shape), [2], 'i32');
    const key = runtime.upload(Int32Array.of(words.u32(), words.u32()), [2], 'i32');
    return keep(runtime.execute('StatelessRandomNormal', [size, key], f32));
  });
}
