/** A program of the service that is started again whenever it ends, as an init system does it. Ends that nobody caused are told. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, existsSync, type WriteStream } from 'node:fs';

export interface KeptOptions {
  readonly name: string;
  readonly program: string;
  readonly env: NodeJS.ProcessEnv;
  /** Both streams, appended. */
  readonly logFile: string;
  readonly onDeath: (how: { readonly code: number | null; readonly signal: NodeJS.Signals | null }) => void;
}

const restartMs = 150;
// A harness that is killed must not leave a service behind.
const wrapper = existsSync('/usr/bin/setpriv') ? ['/usr/bin/setpriv', '--pdeathsig', 'KILL'] : [];

export class KeptProcess {
  #child: ChildProcess | null = null;
  #again: NodeJS.Timeout | null = null;
  #caused = false;
  #stopping = false;
  readonly #log: WriteStream;
  starts = 0;

  constructor(readonly options: KeptOptions) {
    this.#log = createWriteStream(options.logFile, { flags: 'a' });
  }

  /** Of the process of the moment; null between two. */
  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  start(): void {
    this.starts += 1;
    this.#caused = false;
    const [command, ...args] = [...wrapper, process.execPath, this.options.program];
    const child = spawn(command ?? process.execPath, args, { env: this.options.env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) stream?.pipe(this.#log, { end: false });
    child.once('exit', (code, signal) => {
      this.#child = null;
      if (this.#stopping) return;
      if (!this.#caused) this.options.onDeath({ code, signal });
      this.#again = setTimeout(() => this.start(), restartMs);
    });
  }

  /** A blow from outside: the end that follows is no fault of the program. Returns whether there was a process. */
  hit(signal: NodeJS.Signals): boolean {
    if (this.#child === null) return false;
    if (signal === 'SIGKILL' || signal === 'SIGTERM') this.#caused = true;
    return this.#child.kill(signal);
  }

  /** SIGTERM, SIGKILL after the grace. Resolves with the exit code; null when it had to be killed, or was not there. */
  async stop(graceMs: number): Promise<number | null> {
    this.#stopping = true;
    if (this.#again) clearTimeout(this.#again);
    const child = this.#child;
    let code: number | null = null;
    if (child !== null) {
      code = await new Promise((gone) => {
        const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
        child.once('exit', (exit) => {
          clearTimeout(timer);
          gone(exit);
        });
        child.kill('SIGTERM');
      });
    }
    await new Promise<void>((closed) => this.#log.end(() => closed()));
    return code;
  }
}
