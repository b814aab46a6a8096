/** Exit codes of `rowsmith`, for scripts. */
export const exitCodes = { ok: 0, failed: 1, usage: 2, refused: 3, unreachable: 4, cancelled: 5 } as const;

/** An expected failure: its message is the whole story, no stack is shown. */
export class CliError extends Error {
  override readonly name = 'CliError';
  constructor(
    message: string,
    readonly exitCode: number = exitCodes.failed,
  ) {
    super(message);
  }
}
