import type { ByteSource } from '../byte-source.js';
import { ModelError } from '../errors.js';
import { rowWidth, type TensorInfo, type TensorSource } from '../tensor-source.js';
import { dequantise } from './dequantise.js';
import type { GgufHeader } from './header.js';

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

/**
 * The tensors of a GGUF file under Hugging Face names. names: Hugging Face name -> file name;
 * headDim > 0 for the names in `interleaved`. Takes over `source`: close() closes it.
 */
export function ggufTensors(
  source: ByteSource,
  header: GgufHeader,
  names: ReadonlyMap<string, string>,
  interleaved: ReadonlySet<string>,
  headDim: number,
): TensorSource {
  const tensors = new Map<string, TensorInfo>();
  for (const [name, inFile] of names) {
    const tensor = header.tensors.get(inFile);
    if (tensor) tensors.set(name, { shape: tensor.shape, dtype: tensor.type.name });
  }
  async function stored(name: string, start: number, count: number): Promise<Float32Array> {
    const tensor = header.tensors.get(names.get(name) ?? '');
    if (!tensor) throw new ModelError('bad_weights', `has no tensor for ${name}`, { file: source.file });
    const width = rowWidth(tensor.shape);
    const perElement = tensor.type.bytes / tensor.type.elements;
    const bytes = await source.read(tensor.offset + start * width * perElement, count * width * perElement);
    const out = new Float32Array(count * width);
    dequantise(tensor.type.name, bytes, out);
    return out;
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
    close: () => source.close(),
  };
}
