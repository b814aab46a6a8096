export type NativeErrorCode =
  | 'native_not_set_up'
  | 'unsupported_platform'
  | 'pip_missing'
  | 'compiler_missing'
  | 'compile_failed'
  | 'download_failed'
  | 'hash_mismatch'
  | 'archive_damaged'
  | 'disk_full'
  | 'load_failed';

/** A native part that is missing or broken. `repair` is one sentence that tells the operator what to do. */
export class NativeError extends Error {
  override readonly name = 'NativeError';
  readonly code: NativeErrorCode;
  readonly repair: string;

  constructor(code: NativeErrorCode, message: string, repair: string, cause?: unknown) {
    super(`${message}\n  Repair: ${repair}`, cause === undefined ? undefined : { cause });
    this.code = code;
    this.repair = repair;
  }
}

/** The operating system's error code (ENOENT, ENOSPC ...) of anything thrown, or undefined. */
export function systemErrorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** Gives a full disk its own name; everything else passes through unchanged. */
export function nameDiskFull(error: unknown, folder: string): unknown {
  if (systemErrorCode(error) !== 'ENOSPC') return error;
  return new NativeError(
    'disk_full',
    `No space left for ${folder}`,
    'free about 2 GB there, or set ROWSMITH_CACHE to a folder with room',
    error,
  );
}
