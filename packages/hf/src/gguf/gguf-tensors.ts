import type { ByteSource } from '../byte-source.js';
import { ModelError } from '../errors.js';
import { rowWidth, type TensorInfo, type TensorSource } from '../tensor-source.js';
import { dequantise } from './dequantise.js';
import type { GgufTensor } from './header.js';

/**
 * llama.cpp stores the q and k rows of this family with the two halves of each head interleaved. Undone here: row s*D/2 + j of a head in
 * Hugging Face's order is row 2j + s of the file. rows: whole heads, [heads * headDim, width].
 */
function deinterleave(rows: Float32Array, width: number, headDim: number): Float32Array {
  const out = new Float32Array(rows.length);
  const half = headDim / 2;
  const total = rows.length / width;
  for (let row = 0; row < total; row++) {
    const inHead = row % headDim;
    const from = row - inHead + 2 * (inHead % half) + Math.floor(inHead / half);
    out.set(rows.subarray(from * width, (from + 1) * width), row * width);
  }
  return out;
}

/** A tensor and the file that holds it: models may be split over several. */
export interface FiledTensor extends GgufTensor {
  readonly source: ByteSource;
}

/** Rows [start, start + count), dequantised. */
export async function storedRows({ source, shape, type, offset }: FiledTensor, start: number, count: number): Promise<Float32Array> {
  const width = rowWidth(shape);
  const perElement = type.bytes / type.elements;
  const bytes = await source.read(offset + start * width * perElement, count * width * perElement);
  const out = new Float32Array(count * width);
  dequantise(type.name, bytes, out);
  return out;
}

/**
 * The tensors of GGUF files under Hugging Face names. interleaved: names whose heads of `headDim` rows are to be put in order.
 * close: what becomes of the files.
 */
export function ggufTensors(
  named: ReadonlyMap<string, FiledTensor>,
  interleaved: ReadonlySet<string>,
  headDim: number,
  close: () => Promise<void>,
): TensorSource {
  const tensors = new Map<string, TensorInfo>([...named].map(([name, { shape, type }]) => [name, { shape, dtype: type.name }]));
  function stored(name: string, start: number, count: number): Promise<Float32Array> {
    const tensor = named.get(name);
    if (!tensor) throw new ModelError('bad_weights', `there is no tensor for ${name}`);
    return storedRows(tensor, start, count);
  }
  return {
    tensors,
    async readRows(name, start, count) {
      if (!interleaved.has(name)) return stored(name, start, count);
      const width = rowWidth(tensors.get(name)?.shape ?? []);
      const first = start - (start % headDim);
      const last = Math.ceil((start + count) / headDim) * headDim;
      const heads = deinterleave(await stored(name, first, last - first), width, headDim);
      return heads.subarray((start - first) * width, (start - first + count) * width);
    },
    close,
  };
}
