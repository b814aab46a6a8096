import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The clone. */
export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** The same rule as `cacheFolder` of packages/native, which is not built yet when set-up begins; a test keeps them equal. */
export function cacheFolder(env = process.env) {
  if (env.ROWSMITH_CACHE) return resolve(env.ROWSMITH_CACHE);
  if (env.XDG_CACHE_HOME) return resolve(env.XDG_CACHE_HOME, 'rowsmith');
  return join(env.HOME || homedir(), '.cache', 'rowsmith');
}
