export type StorageErrorCode = 'storage_unavailable' | 'storage_refused' | 'bucket_missing' | 'storage_full';

/** The object store itself failed; another attempt, later, may succeed. The text names no credentials and may be shown to users. */
export class StorageError extends Error {
  override readonly name = 'StorageError';
  constructor(
    readonly code: StorageErrorCode,
    message: string,
    cause: unknown,
  ) {
    super(message, { cause });
  }
}

/** HTTP status of an error of the AWS SDK, null for one that had no answer (network, cut body). */
export function statusOf(error: unknown): number | null {
  if (typeof error !== 'object' || error === null || !('$metadata' in error)) return null;
  const { $metadata } = error;
  if (typeof $metadata !== 'object' || $metadata === null || !('httpStatusCode' in $metadata)) return null;
  return typeof $metadata.httpStatusCode === 'number' ? $metadata.httpStatusCode : null;
}

/** What the SDK threw, in our words; `what` is e.g. `put jobs/x`. */
export function storageError(what: string, error: unknown): StorageError {
  if (error instanceof StorageError) return error;
  const status = statusOf(error);
  const name = error instanceof Error ? error.name : 'error';
  // The SDK's own error carries the whole exchange, signed headers included: whoever prints causes would print them.
  const cause = error instanceof Error ? new Error(`${name}: ${error.message}`) : error;
  if (name === 'NoSuchBucket') return new StorageError('bucket_missing', `the object store has no such bucket (${what})`, cause);
  if (status === 401 || status === 403 || name === 'CredentialsProviderError')
    return new StorageError('storage_refused', `the object store refused the credentials (${what}: ${name})`, cause);
  if (status === 507) return new StorageError('storage_full', `the object store has no space left (${what})`, cause);
  return new StorageError('storage_unavailable', `the object store failed (${what}: ${status ?? 'no answer'}, ${name})`, cause);
}
