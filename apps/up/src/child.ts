/** A service process that is kept alive: started again when it dies, with a growing pause so that a broken one does not spin. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';

export interface ServiceOptions {
  readonly name: string;
  readonly program: string;
  readonly env: NodeJS.ProcessEnv;
  readonly log: (line: string) => void;
  /** Called when it died `maxFastDeaths` times within seconds of starting: not worth trying further. */
  readonly onGiveUp: (reason: string) => void;
}

// With setpriv (util-linux) the kernel sends SIGTERM to a service whose parent was killed with -9, so nothing is orphaned.
const setpriv = process.platform === 'linux' && existsSync('/usr/bin/setpriv') ? '/usr/bin/setpriv' : null;
const command = (program: string): [string, string[]] =>
  setpriv === null ? [process.execPath, [program]] : [setpriv, ['--pdeathsig', 'TERM', process.execPath, program]];

const fastDeathMs = 5_000;
const maxFastDeaths = 5;

export class Service {
  #child: ChildProcess | null = null;
  #stopping = false;
  #fastDeaths = 0;
  #restart: NodeJS.Timeout | null = null;

  constructor(private readonly options: ServiceOptions) {}

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  start(): void {
    const { name, program, env, log } = this.options;
    const startedAt = performance.now();
    // Own process group: a Ctrl-C in the terminal must reach only us, or the worker would be told twice and could not hand its job back in order.
    const child = spawn(...command(program), { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      let rest = '';
      stream?.setEncoding('utf8').on('data', (chunk: string) => {
        const lines = (rest + chunk).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) log(line);
      });
      stream?.on('end', () => rest && log(rest));
    }
    child.on('error', (error) => log(`${name} cannot be started: ${error.message}`));
    child.on('close', (code, signal) => {
      this.#child = null;
      if (this.#stopping) return;
      const reason = `${name} ended unexpectedly (${signal ?? `exit code ${code}`})`;
      this.#fastDeaths = performance.now() - startedAt < fastDeathMs ? this.#fastDeaths + 1 : 0;
      if (this.#fastDeaths >= maxFastDeaths) {
        this.options.onGiveUp(`${reason}, ${maxFastDeaths} times in a row`);
        return;
      }
      log(`${reason}; starting it again`);
      this.#restart = setTimeout(() => this.start(), 200 * 2 ** this.#fastDeaths);
    });
  }

  /** SIGTERM, then SIGKILL after `graceMs`. Resolves when it is gone. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    if (this.#restart) clearTimeout(this.#restart);
    const child = this.#child;
    if (child === null || child.exitCode !== null) return;
    await new Promise<void>((gone) => {
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
      child.once('close', () => {
        clearTimeout(timer);
        gone();
      });
      child.kill('SIGTERM');
    });
  }
}
