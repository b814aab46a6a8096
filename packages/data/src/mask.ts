import type { EncodedExample } from '@rowsmith/contracts';

export const ignoredLabel = -100;

/** UTF-16 units of a text: start included, end not. */
export interface TextSpan {
  readonly start: number;
  readonly end: number;
}

/**
 * Labels by character offsets: a token counts where it has a part of a span in it, so one that straddles the start of an answer counts, as
 * in transformers' `return_assistant_tokens_mask`. Never by counting the tokens of a prefix: the tokens at a seam depend on both sides.
 * `offsets`: [2n] start and end of each token. Spans ascend and do not overlap.
 */
export function labelSpans(ids: Int32Array, offsets: Int32Array, spans: readonly TextSpan[]): Int32Array {
  const labels = new Int32Array(ids.length).fill(ignoredLabel);
  let k = 0;
  for (let i = 0; i < ids.length; i++) {
    const start = offsets[2 * i] as number;
    const end = offsets[2 * i + 1] as number;
    while (k < spans.length && (spans[k] as TextSpan).end <= start) k++;
    const span = spans[k];
    if (span && start < span.end && end > span.start) labels[i] = ids[i] as number;
  }
  return labels;
}

/** Keeps the first `maxLength` tokens. */
export function truncate({ ids, labels }: EncodedExample, maxLength: number): EncodedExample {
  return { ids: ids.slice(0, maxLength), labels: labels.slice(0, maxLength) };
}

/** Tokens that are predicted and counted; nothing predicts the first of a sequence. */
export function countedTokens({ labels }: EncodedExample): number {
  let count = 0;
  for (let t = 1; t < labels.length; t++) if (labels[t] !== ignoredLabel) count++;
  return count;
}
