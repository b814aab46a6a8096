/** Says what is wrong with a training file: the first faults with their lines, and how many there are. */
import { describeErrors, type ValidationReport } from '@rowsmith/data';
import { ApiError } from '../http/api-error.js';

const maxFaultsTold = 20;

/** null: every line can be trained on. */
export function invalidTrainingFile(report: ValidationReport): ApiError | null {
  if (report.errorCount === 0) return null;
  if (report.bytes === 0) return new ApiError(400, { message: 'The file is empty.', code: 'empty_file', param: 'file' });
  const message = `Invalid training file: ${describeErrors(report, maxFaultsTold)}`;
  return new ApiError(400, { message, code: 'invalid_training_file', param: 'file' });
}
