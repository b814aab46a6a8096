import type { Rope, RopeScaling } from '@rowsmith/contracts';
import { longropeAttention } from '../families/rope.js';
import { shortestF32 } from './shortest-f32.js';

/** What a GGUF file says about rotary positions: metadata below `<architecture>.rope.`, and the tensors of factors, where it has them. */
export interface GgufRope {
  readonly number: (key: string) => number | undefined;
  readonly text: (key: string) => string | undefined;
  readonly factors: ReadonlyMap<string, Float32Array>;
  readonly headDim: number;
  readonly contextLength: number;
  readonly refuse: (message: string) => Error;
}

/** Keys below `<architecture>.` that are read here. */
export const ropeKeys = [
  'rope.freq_base',
  'rope.dimension_count',
  'rope.scaling.type',
  'rope.scaling.factor',
  'rope.scaling.attn_factor',
  'rope.scaling.original_context_length',
  'rope.scaling.finetuned',
];

/** The rope of all layers. Scalings that llama.cpp knows and this does not (yarn) are refused by name. */
export function ggufRope(file: GgufRope): Rope {
  const theta = shortestF32(file.number('rope.freq_base') ?? 10_000);
  const dim = file.number('rope.dimension_count') ?? file.headDim;
  if (!Number.isInteger(dim) || dim < 2 || dim > file.headDim)
    throw file.refuse(`rope.dimension_count = ${dim} for heads of ${file.headDim}`);
  const scaling = scalingOf(file, theta, dim);
  return { theta, ...(dim === file.headDim ? {} : { dim }), ...(scaling ? { scaling } : {}) };
}

function scalingOf(file: GgufRope, theta: number, dim: number): RopeScaling | null {
  const type = file.text('rope.scaling.type') ?? 'none';
  const frequencies = file.factors.get('rope_freqs.weight');
  const short = file.factors.get('rope_factors_short.weight');
  const long = file.factors.get('rope_factors_long.weight');
  const factor = file.number('rope.scaling.factor') ?? 1;
  if (short || long || type === 'longrope') {
    if (!short || !long) throw file.refuse('long rope needs both tensors rope_factors_short.weight and rope_factors_long.weight');
    if (type !== 'longrope' && type !== 'none')
      throw file.refuse(`rope.scaling.type = ${JSON.stringify(type)} beside factors of long rope`);
    const original = file.number('rope.scaling.original_context_length') ?? file.contextLength;
    const given = file.number('rope.scaling.attn_factor');
    return {
      kind: 'longrope',
      short_factor: [...short].map(shortestF32),
      long_factor: [...long].map(shortestF32),
      original_max_position_embeddings: original,
      attention_factor:
        given === undefined ? longropeAttention(file.contextLength / original, original) : attention(given, file.contextLength, original),
    };
  }
  if (file.number('rope.scaling.attn_factor') !== undefined) throw file.refuse('rope.scaling.attn_factor is understood for long rope only');
  if (type === 'linear') {
    if (frequencies) throw file.refuse('rope.scaling.type = "linear" beside the tensor rope_freqs.weight');
    return factor === 1 ? null : { kind: 'linear', factor: shortestF32(factor) };
  }
  if (type !== 'none' || (factor !== 0 && factor !== 1))
    throw file.refuse(`rope.scaling.type = ${JSON.stringify(type)} with factor ${factor} is not supported (none, linear, longrope)`);
  if (!frequencies) return null;
  const llama3 = llama3From(frequencies, theta, dim);
  if (!llama3)
    throw file.refuse('tensor rope_freqs.weight holds factors of another rule than Llama 3.1 (low 1, high 4, original length 8192)');
  return llama3;
}

/** The file's f32, or the double that the formula gives when it is the same f32: then the model equals the one imported from a folder. */
function attention(given: number, contextLength: number, original: number): number {
  const computed = longropeAttention(contextLength / original, original);
  return Math.fround(computed) === Math.fround(given) ? computed : given;
}

const low = 1;
const high = 4;
const original = 8192;

/**
 * llama.cpp keeps the result of Llama 3.1's scaling, one divisor for each pair, not its parameters. All published models have low 1, high 4, original
 * length 8192; the factor is the divisor of the longest wave. Null when the tensor is not what these give.
 */
export function llama3From(divisors: Float32Array, theta: number, dim: number): RopeScaling | null {
  const factor = shortestF32(divisors.at(-1) ?? 0);
  if (divisors.length !== dim / 2 || !(factor >= 1)) return null;
  const same = divisors.every(
    (found, i) => Math.abs(llama3Divisor(2 * Math.PI * theta ** ((2 * i) / dim), factor) - found) <= 1e-4 * found,
  );
  return same ? { kind: 'llama3', factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: original } : null;
}

/** Waves up to original / high positions stay, those over original / low are stretched by factor, between them the frequency is interpolated. */
function llama3Divisor(wavelength: number, factor: number): number {
  if (wavelength < original / high) return 1;
  if (wavelength > original / low) return factor;
  const smooth = (original / wavelength - low) / (high - low);
  return 1 / ((1 - smooth) / factor + smooth);
}
