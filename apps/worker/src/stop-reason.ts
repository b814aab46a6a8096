/**
 * Why a trainer is being stopped. expired: the job has run as long as it may; preempt: another needs the place. `fenced`, `lost` (no database) and
 * `broken` (silent, or talking nonsense) kill it at once.
 */
export type Stop = 'cancel' | 'pause' | 'preempt' | 'expired' | 'handback' | 'fenced' | 'lost' | 'broken';

export const isHard = (reason: Stop | null): boolean => reason === 'fenced' || reason === 'lost' || reason === 'broken';

/** The first reason stays, but a cancel replaces the milder ones, and a hard one all that are not hard. */
export function replaces(reason: Stop, before: Stop | null): boolean {
  if (before === null) return true;
  if (before === reason || isHard(before)) return false;
  return isHard(reason) || reason === 'cancel';
}
