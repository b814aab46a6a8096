/** Expected failures in one or two lines on stderr, with the exit code that says which kind; anything else is a bug and keeps its stack. */
import { RowsmithApiError } from '@rowsmith/client';
import { CliError, exitCodes } from './exit.js';

/** The network's own reason (ECONNREFUSED ...) lies one or two causes deep in fetch's TypeError. */
function networkReason(error: unknown): string | null {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (typeof code === 'string' && /^(E[A-Z]+|UND_ERR_[A-Z_]+)$/.test(code)) return code;
    if (cause instanceof TypeError && cause.message === 'fetch failed' && cause.cause instanceof Error && !('code' in cause.cause))
      return cause.cause.message;
  }
  return null;
}

export function describeError(error: unknown): { readonly text: string; readonly exitCode: number } {
  if (error instanceof CliError) return { text: error.message, exitCode: error.exitCode };
  if (error instanceof RowsmithApiError) {
    const at = error.param === null ? '' : ` (${error.param})`;
    const request = error.status >= 500 && error.requestId !== null ? `\nRequest id: ${error.requestId}` : '';
    return { text: `${error.message}${at}${request}`, exitCode: error.status >= 500 ? exitCodes.failed : exitCodes.refused };
  }
  const code = (error as NodeJS.ErrnoException | null)?.code;
  const path = (error as NodeJS.ErrnoException | null)?.path;
  if (typeof code === 'string' && typeof path === 'string')
    return { text: `${path}: ${error instanceof Error ? error.message : code}`, exitCode: exitCodes.usage };
  const reason = networkReason(error);
  if (reason !== null)
    return { text: `The API cannot be reached (${reason}). Is \`rowsmith up\` running? Is --url right?`, exitCode: exitCodes.unreachable };
  return { text: error instanceof Error ? (error.stack ?? error.message) : String(error), exitCode: exitCodes.failed };
}

/** Prints the error and returns the exit code. */
export function reportError(error: unknown): number {
  const { text, exitCode } = describeError(error);
  process.stderr.write(`rowsmith: ${text}\n`);
  return exitCode;
}
