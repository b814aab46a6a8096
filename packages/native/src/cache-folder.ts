import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/** Absolute folder that all clones of this user share: $ROWSMITH_CACHE, else $XDG_CACHE_HOME/rowsmith, else ~/.cache/rowsmith. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  if (env['ROWSMITH_CACHE']) return resolve(env['ROWSMITH_CACHE']);
  if (env['XDG_CACHE_HOME']) return resolve(env['XDG_CACHE_HOME'], 'rowsmith');
  return join(env['HOME'] || homedir(), '.cache', 'rowsmith');
}
