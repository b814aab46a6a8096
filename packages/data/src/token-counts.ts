import type { TokenCounts } from '@rowsmith/contracts';
import { type EncodeDatasetOptions, encodeDataset } from './encode.js';

export interface TokenCountOptions extends Omit<EncodeDatasetOptions, 'observe' | 'skipInvalid'> {
  readonly model: string;
  /** Bytes of the file that are counted, up to the last whole line in them. */
  readonly maxBytes: number;
}

/** Upper ends of the histogram: powers of two. */
const smallestBin = 16;

/** Lengths of the examples of a file under a model; rows that cannot be encoded are left out. Time is bounded by `maxBytes`. */
export async function countTokens(source: AsyncIterable<Uint8Array>, options: TokenCountOptions): Promise<TokenCounts> {
  const { model, maxBytes, ...encoding } = options;
  const lengths: number[] = [];
  let labelled = 0;
  const beginning = new Beginning(source, maxBytes);
  const { counts } = await encodeDataset(beginning, {
    ...encoding,
    skipInvalid: true,
    observe: (tokens, counted) => {
      lengths.push(tokens);
      labelled += counted;
    },
  });
  const sorted = Int32Array.from(lengths).sort();
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
  return {
    model,
    max_seq_length: options.maxSeqLength,
    examples: lengths.length,
    complete: !beginning.cut,
    total,
    labelled,
    min: sorted[0] ?? 0,
    mean: lengths.length === 0 ? 0 : total / lengths.length,
    p50: at(0.5),
    p95: at(0.95),
    max: sorted.at(-1) ?? 0,
    truncated: counts.truncated,
    dropped: counts.dropped,
    histogram: histogramOf(sorted),
  };
}

function histogramOf(sorted: Int32Array): TokenCounts['histogram'] {
  const bins: TokenCounts['histogram'] = [];
  for (let up = smallestBin, from = 0; from < sorted.length; up *= 2) {
    const next = sorted.findIndex((length) => length > up);
    const end = next < 0 ? sorted.length : next;
    bins.push({ up_to: up, examples: end - from });
    from = end;
  }
  return bins;
}

/** The first whole lines of a stream. */
class Beginning implements AsyncIterable<Uint8Array> {
  cut = false;
  constructor(
    private readonly source: AsyncIterable<Uint8Array>,
    private readonly maxBytes: number,
  ) {}

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    let left = this.maxBytes;
    for await (const chunk of this.source) {
      if (chunk.length <= left) {
        yield chunk;
        left -= chunk.length;
        continue;
      }
      this.cut = true;
      // To the end of the line that the limit falls into.
      const end = chunk.indexOf(10, left);
      yield end < 0 ? chunk : chunk.subarray(0, end + 1);
      if (end >= 0) return;
      left = 0;
    }
  }
}
