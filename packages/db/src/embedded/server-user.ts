/**
 * Postgres refuses to run as root. Started by root (containers, fresh machines) it therefore runs as `postgres` or `nobody`. Such a user cannot enter
 * root's private folders (0700), so it keeps one capability, to read and search folders; writing outside its data folder stays forbidden.
 */
import { readFileSync, statSync } from 'node:fs';

export interface ServerUser {
  readonly uid: number;
  readonly gid: number;
}

/** null: we are not root, the server runs as ourselves. */
export function serverUser(): ServerUser | null {
  if (process.getuid?.() !== 0) return null;
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n');
  for (const name of ['postgres', 'nobody']) {
    const [, , uid, gid] = lines.find((line) => line.startsWith(`${name}:`))?.split(':') ?? [];
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new Error(
    'Postgres cannot run as root, and there is neither a user `postgres` nor `nobody`. Add one, run as another user, or set DATABASE_URL.',
  );
}

const setpriv = ['/usr/bin/setpriv', '/bin/setpriv'].find((path) => statSync(path, { throwIfNoEntry: false })?.isFile());

/** The command that runs `program` as that user. */
export function commandAs(user: ServerUser | null, program: string, args: readonly string[]): readonly [string, readonly string[]] {
  if (user === null) return [program, args];
  if (!setpriv)
    throw new Error(
      'Postgres cannot run as root, and setpriv (util-linux) is missing. Install it, run as another user, or set DATABASE_URL.',
    );
  const capability = ['--inh-caps=+dac_read_search', '--ambient-caps=+dac_read_search'];
  return [setpriv, [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups', ...capability, program, ...args]];
}
