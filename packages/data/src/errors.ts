/** Closed list: what can be wrong with a line of a data file, or with the file. */
export const lineFaultCodes = [
  'line_too_long',
  'invalid_utf8',
  'nul',
  'invalid_json',
  'too_deep',
  'duplicate_key',
  'forbidden_key',
  'not_an_object',
  'unknown_shape',
  'mixed_shapes',
  'unknown_field',
  'missing_field',
  'wrong_type',
  'empty',
  'lone_surrogate',
  'unknown_role',
  'unsupported',
  'no_assistant',
  'last_not_assistant',
  'invalid_weight',
  'empty_file',
  'too_many_examples',
] as const;
export type LineFaultCode = (typeof lineFaultCodes)[number];

/** One fault of one line. */
export interface LineFault {
  readonly code: LineFaultCode;
  /** Field at fault, e.g. `messages[1].role`; '' when it is the line as a whole. */
  readonly path: string;
  /** Names the path and says what to do; values from the file are cut and escaped. */
  readonly message: string;
}

export function fault(code: LineFaultCode, path: string, reason: string): LineFault {
  return { code, path, message: path === '' ? reason : `${path}: ${reason}` };
}

/** A value from a stranger's file, safe to print on one line. */
export function quoted(value: string): string {
  const short = value.length > 40 ? `${value.slice(0, 37)}...` : value;
  return JSON.stringify(short).replace(/[\u007f-\u009f\u2028\u2029]|\p{Cf}/gu, '?');
}

/** `invalid_line`: the validator would refuse it; the others depend on the model and are found when the data is encoded. */
export const dataErrorCodes = ['invalid_line', 'special_token', 'refused_by_template', 'wrong_task', 'unknown_label'] as const;
export type DataErrorCode = (typeof dataErrorCodes)[number];

/** A row cannot be encoded; the user's data is at fault, another attempt gives the same answer. */
export class DataError extends Error {
  override readonly name = 'DataError';
  readonly code: DataErrorCode;
  /** From 1. */
  readonly line: number;
  /** The message without the line. */
  readonly reason: string;

  constructor(code: DataErrorCode, line: number, reason: string, options?: { readonly cause: unknown }) {
    super(`line ${line}: ${reason}`, options);
    this.code = code;
    this.line = line;
    this.reason = reason;
  }
}
