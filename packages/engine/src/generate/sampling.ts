/** Which token follows, given logits. Pure; on the host, in f64. */
import { EngineError } from '../errors.js';
import { philox } from '../runtime/philox.js';

/** Absent: greedy. */
export interface Sampling {
  /** Logits are divided by it; 0: greedy. */
  readonly temperature: number;
  /** Only the k likeliest tokens; 0: all. */
  readonly topK: number;
  /** Of those, the fewest whose probabilities add up to at least this share; 1: all. */
  readonly topP: number;
  /** Together with the prompt's number and the token's position they decide every draw. */
  readonly seed: number;
  readonly step: number;
  readonly prompt: number;
}

/** Chooses one token after another of one answer: the i-th call draws the i-th number. Throws EngineError `invalid_options`. */
export type Choice = (logits: Float32Array) => number;

export function sampler({ temperature, topK, topP, seed, step, prompt }: Sampling): Choice {
  const range = (name: string, ok: boolean, value: number) => {
    if (!ok) throw new EngineError('user', 'invalid_options', `${name} ${value} is out of range`);
  };
  range('temperature', temperature >= 0 && Number.isFinite(temperature), temperature);
  range('top_k', Number.isInteger(topK) && topK >= 0, topK);
  range('top_p', topP > 0 && topP <= 1, topP);
  if (temperature === 0) return likeliest;
  const random = philox(seed, `sample ${prompt}`, step);
  return (logits) => draw(candidates(logits, temperature, topK, topP), random.f32());
}

/** Ties go to the lower id. */
export function likeliest(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if ((logits[id] as number) > (logits[best] as number)) best = id;
  return best;
}

export interface Candidate {
  readonly id: number;
  /** Unnormalised. */
  readonly weight: number;
}

/** From the likeliest down, of equal logits the lower id first: softmax(logits / temperature), cut to topK, then to topP of what is left. */
export function candidates(logits: Float32Array, temperature: number, topK: number, topP: number): readonly Candidate[] {
  const largest = logits[likeliest(logits)] as number;
  const ids = Array.from(logits.keys()).sort((a, b) => (logits[b] as number) - (logits[a] as number));
  const kept = (topK > 0 ? ids.slice(0, topK) : ids).map((id) => ({
    id,
    weight: Math.exp(((logits[id] as number) - largest) / temperature),
  }));
  if (topP === 1) return kept;
  const total = kept.reduce((sum, { weight }) => sum + weight, 0);
  let sum = 0;
  const enough = kept.findIndex(({ weight }) => {
    sum += weight;
    return sum >= topP * total;
  });
  return enough < 0 ? kept : kept.slice(0, enough + 1);
}

/** uniform: in [0, 1). */
function draw(from: readonly Candidate[], uniform: number): number {
  const total = from.reduce((sum, { weight }) => sum + weight, 0);
  let left = uniform * total;
  for (const { id, weight } of from) {
    left -= weight;
    if (left < 0) return id;
  }
  return (from.at(-1) as Candidate).id;
}
