/** Exit codes of `rowsmith`, for scripts. `failed`: the job or a verification; `refused`: by the API (401, 403, 404 and other 4xx: --json says which on stderr); `interrupted`: as shells say it of SIGINT. */
export const exitCodes = { ok: 0, failed: 1, usage: 2, refused: 3, unreachable: 4, cancelled: 5, server: 6, interrupted: 130 } as const;

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
