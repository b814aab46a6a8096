/**
 * The least rights that a plain Linux process can give its child, by util-linux' programs and without a setup by root. What this machine forbids (an old
 * util-linux, a container without user namespaces) is left out and named, for the log: containers have the rest by their own means (infra/README.md).
 */
import { spawnSync } from 'node:child_process';

/**
 * pdeathsig: the kernel ends it with its worker. no-new-privileges: no program that it starts gains rights. no-capabilities: root's powers are gone, if it had
 * any. no-core: memory never lands on a disk. no-network: no interface at all. hidden-worker: the worker's environment, with its secrets, cannot be read.
 */
export type Restriction = 'pdeathsig' | 'no-new-privileges' | 'no-capabilities' | 'no-core' | 'no-network' | 'hidden-worker';

export interface Confinement {
  /** Comes before the program and its arguments; every part of it becomes the next by exec, so the process id stays. */
  readonly wrapper: readonly string[];
  readonly kept: readonly Restriction[];
  readonly missing: readonly Restriction[];
}
export interface ConfinementOptions {
  /** A bucket or a collector of traces is elsewhere. */
  readonly needsNetwork: boolean;
  /** Whether a program ends with 0; for tests. */
  readonly runs?: (command: readonly string[]) => boolean;
  readonly isRoot?: boolean;
}

const runsHere = ([program, ...args]: readonly string[]): boolean => spawnSync(program ?? '', args, { stdio: 'ignore' }).status === 0;

export function confinementOf({ needsNetwork, runs = runsHere, isRoot = process.getuid?.() === 0 }: ConfinementOptions): Confinement {
  const works = (...command: string[]) => runs([...command, 'true']);
  const kept: Restriction[] = [];
  const has = (what: Restriction, possible: boolean): boolean => {
    if (possible) kept.push(what);
    return possible;
  };

  const namespace = ['unshare', '--user', '--map-current-user'];
  const around = isRoot ? ['unshare'] : works(...namespace) ? namespace : [];
  const noNetwork = !needsNetwork && around.length > 0 && has('no-network', works(...around, '--net'));
  const entering = noNetwork ? [...around, '--net'] : isRoot ? [] : around;

  const limits = has('no-core', works('prlimit', '--core=0:0')) ? ['prlimit', '--core=0:0'] : [];

  const noCapabilities = ['--inh-caps', '-all', '--ambient-caps', '-all', ...(isRoot ? ['--bounding-set', '-all'] : [])];
  const rights = [
    ...(has('pdeathsig', works('setpriv', '--pdeathsig', 'KILL')) ? ['--pdeathsig', 'KILL'] : []),
    ...(has('no-new-privileges', works('setpriv', '--no-new-privs')) ? ['--no-new-privs'] : []),
    ...(has('no-capabilities', works('setpriv', ...noCapabilities)) ? noCapabilities : []),
  ];
  const wrapper = [...entering, ...limits, ...(rights.length > 0 ? ['setpriv', ...rights] : [])];
  const wanted: readonly Restriction[] = ['pdeathsig', 'no-new-privileges', 'no-capabilities', 'no-core', 'no-network', 'hidden-worker'];
  // Each works by itself; together they are tried once more, for a confinement that fails would fail every job.
  if (wrapper.length > 0 && !runs([...wrapper, 'true'])) return { wrapper: [], kept: [], missing: wanted };
  // Denied to a process in a user namespace of its own, or without the capabilities that its worker has; tried, for the kernel decides.
  has('hidden-worker', !runs([...wrapper, 'cat', `/proc/${process.pid}/environ`]));
  return { wrapper, kept, missing: wanted.filter((what) => !kept.includes(what) && !(what === 'no-network' && needsNetwork)) };
}
