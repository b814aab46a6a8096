/** Rotary frequencies and how they are stretched for long contexts. Pure. */
import type { Rope } from '@rowsmith/contracts';

export interface RopeFrequencies {
  /** Radians per position of each pair: [dim/2]. */
  readonly frequencies: Float32Array;
  /** Multiplies cosines and sines. */
  readonly attentionFactor: number;
}

/** Whether sequences of this length take the long set of longrope's factors: all of their positions then. */
export const isLong = ({ scaling }: Rope, length: number): boolean =>
  scaling?.kind === 'longrope' && length > scaling.original_max_position_embeddings;

/**
 * theta^(-2i/dim), i in [0, dim/2) (Su et al., arXiv 2104.09864), and
 * - linear: divided by the factor (Chen et al., arXiv 2306.15595);
 * - llama3: wavelengths above original/low_freq_factor divided by the factor, those below original/high_freq_factor as they are, between them the two
 *   mixed by s = (original/wavelength - low) / (high - low) (Grattafiori et al., arXiv 2407.21783);
 * - longrope: each divided by its own factor, short_factor or long_factor (Ding et al., arXiv 2402.13753).
 */
export function ropeFrequencies(rope: Rope, headDim: number, long: boolean): RopeFrequencies {
  const dim = rope.dim ?? headDim;
  const plain = Float32Array.from({ length: dim / 2 }, (_, i) => 1 / rope.theta ** ((2 * i) / dim));
  const { scaling } = rope;
  switch (scaling?.kind) {
    case undefined:
      return { frequencies: plain, attentionFactor: 1 };
    case 'linear':
      return { frequencies: plain.map((frequency) => frequency / scaling.factor), attentionFactor: 1 };
    case 'llama3': {
      const { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: original } = scaling;
      const stretch = (frequency: number): number => {
        const turns = (original * frequency) / (2 * Math.PI);
        if (turns < low) return frequency / factor;
        if (turns > high) return frequency;
        const smooth = (turns - low) / (high - low);
        return ((1 - smooth) * frequency) / factor + smooth * frequency;
      };
      return { frequencies: plain.map(stretch), attentionFactor: 1 };
    }
    case 'longrope': {
      const factors = long ? scaling.long_factor : scaling.short_factor;
      const frequencies = Float32Array.from(
        { length: dim / 2 },
        (_, i) => 1 / ((factors[i] ?? Number.NaN) * rope.theta ** ((2 * i) / dim)),
      );
      return { frequencies, attentionFactor: scaling.attention_factor };
    }
  }
}
