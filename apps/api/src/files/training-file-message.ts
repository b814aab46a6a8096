/** Says what is wrong with a training file: line by line, the first faults and how many more there are. */
import { ApiError } from '../http/api-error.js';

/** What a validator found in a file. `errors` may be cut to the first ones; `errorCount` never is. */
export interface TrainingFileReport {
  readonly examples: number;
  readonly errorCount: number;
  readonly errors: readonly { readonly line: number; readonly message: string }[];
}
/** Reads the whole stream and rejects only when the stream does. */
export type ValidateTrainingFile = (bytes: AsyncIterable<Uint8Array>) => Promise<TrainingFileReport>;

const maxLinesTold = 20;

/** null: every line can be trained on. */
export function invalidTrainingFile(report: TrainingFileReport): ApiError | null {
  if (report.errorCount === 0 && report.examples > 0) return null;
  if (report.errorCount === 0) {
    return new ApiError(400, { message: 'Invalid training file: it holds no examples.', code: 'invalid_training_file', param: 'file' });
  }
  const told = report.errors.slice(0, maxLinesTold).map(({ line, message }) => `line ${line}: ${message}`);
  const more = report.errorCount - told.length;
  if (more > 0) told.push(`and ${more} more`);
  const count = `${report.errorCount} error${report.errorCount === 1 ? '' : 's'}`;
  return new ApiError(400, {
    message: `Invalid training file: ${count}. ${told.join('; ')}.`,
    code: 'invalid_training_file',
    param: 'file',
  });
}
