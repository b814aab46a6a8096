/** Object keys never become paths unchecked: a key is '/'-separated names of [A-Za-z0-9._-], no '.', '..' or empty name, at most 1024 characters. */
export class InvalidKeyError extends Error {
  override readonly name = 'InvalidKeyError';
  readonly code = 'invalid_key';
  constructor(key: string) {
    super(`not an object key: ${JSON.stringify(key.slice(0, 200))}`);
  }
}

const nameOk = (name: string) => /^[A-Za-z0-9._-]{1,255}$/.test(name) && name !== '.' && name !== '..';

/** Returns the names of the key; throws InvalidKeyError. */
export function namesOfKey(key: string): string[] {
  const names = key.split('/');
  if (key.length > 1024 || !names.every(nameOk)) throw new InvalidKeyError(key);
  return names;
}

const temporaryPrefix = '.tmp-';
/** Names under which the file system keeps what is not whole yet; no key has one. */
export const isTemporaryName = (name: string): boolean => name.startsWith(temporaryPrefix);
export const temporaryName = (unique: string): string => `${temporaryPrefix}${unique}`;
