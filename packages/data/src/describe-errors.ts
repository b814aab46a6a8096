import type { ValidationReport } from './validate.js';

/** One message for a 400: how much is wrong, the first faults, and how many more there are. '' when nothing is. */
export function describeErrors({ errors, errorCount, badLines }: ValidationReport, most = 5): string {
  if (errorCount === 0) return '';
  const told = errors.slice(0, most).map(({ line, message }) => `Line ${line}: ${message}`);
  const more = errorCount - told.length;
  const plural = (count: number, word: string) => `${count} ${word}${count === 1 ? '' : 's'}`;
  return `${plural(errorCount, 'error')} in ${plural(badLines, 'line')}. ${told.join('; ')}${more > 0 ? `; and ${more} more` : ''}.`;
}
