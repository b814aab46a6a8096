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
    return { text: `${error.message}${at}${request}`, exitCode: error.retryable ? exitCodes.server : exitCodes.refused };
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

/** One JSON line on stderr: the kind of a refusal tells a wrong key from a wrong id without reading words. */
export function errorLine(error: unknown): string {
  const { text, exitCode } = describeError(error);
  const refusal =
    error instanceof RowsmithApiError
      ? { kind: error.kind, status: error.status, code: error.code, param: error.param, request_id: error.requestId }
      : { kind: null, status: null, code: null, param: null, request_id: null };
  const message = error instanceof RowsmithApiError ? error.message : text;
  return JSON.stringify({ error: { message, exit_code: exitCode, ...refusal } });
}

/** Commander's own text for wrong use, as the line that programs read: `error: ` is for people. */
export const usageErrorLine = (text: string): string =>
  `${errorLine(new CliError(text.trim().replace(/^error: /, ''), exitCodes.usage))}\n`;

/** Prints the error and returns the exit code. */
export function reportError(error: unknown, { json = false }: { readonly json?: boolean } = {}): number {
  process.stderr.write(json ? `${errorLine(error)}\n` : `rowsmith: ${describeError(error).text}\n`);
  return describeError(error).exitCode;
}
