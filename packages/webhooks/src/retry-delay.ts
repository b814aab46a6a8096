/** Seconds before attempt n + 1, as Standard Webhooks suggests: spread over a little more than two days. */
const waits = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];

/** Attempts in all, the first included. */
export const maxDeliveryAttempts = waits.length + 1;

/**
 * Seconds to wait after `attempts` failed attempts, null when there is no further one. Spread by up to a tenth, by the delivery's id, so that
 * the deliveries of one outage do not come back as one wave; the same id gives the same delay. A receiver's Retry-After may lengthen a wait, up to a day.
 */
export function retryDelaySeconds(attempts: number, id: string, retryAfterSeconds: number | null = null): number | null {
  const wait = waits[attempts - 1];
  if (wait === undefined) return null;
  let hash = 0;
  for (const character of `${id}:${attempts}`) hash = (Math.imul(hash, 31) + (character.codePointAt(0) ?? 0)) >>> 0;
  return Math.max(wait * (1 + (hash % 1000) / 10_000), Math.min(retryAfterSeconds ?? 0, 86_400));
}
