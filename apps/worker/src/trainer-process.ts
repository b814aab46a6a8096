/** The trainer as a child process: own group, few variables, messages parsed on arrival, dead when its worker is dead. */
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';
import { FromTrainer, parseAs, type ToTrainer } from '@rowsmith/contracts';

export interface TrainerOptions {
  /** main.js of the trainer. */
  readonly program: string;
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** 0 to 19: how far it stands back where others want the same cores. */
  readonly niceness: number;
  /** Programs that become the trainer by exec, each with fewer rights (`confinementOf`). */
  readonly wrapper: readonly string[];
  /** In order of arrival. */
  readonly onMessage: (message: FromTrainer) => void;
  /** Something arrived that is no message. */
  readonly onInvalid: (error: unknown) => void;
}
export interface TrainerExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The end of what it printed. */
  readonly output: string;
}
export interface TrainerProcess {
  readonly pid: number | undefined;
  /** Messages to a trainer that is gone are dropped: its exit tells the rest. */
  send(message: ToTrainer): void;
  /** The whole process group. */
  kill(signal: 'SIGTERM' | 'SIGKILL'): void;
  /** Resolves when it is gone and everything it sent has been handed over. Never rejects. */
  readonly exited: Promise<TrainerExit>;
}

const keptOutput = 8192;

export function startTrainer({ program, env, cwd, niceness, wrapper, onMessage, onInvalid }: TrainerOptions): TrainerProcess {
  const [command, ...args] = [...wrapper, process.execPath, program];
  const child = spawn(command as string, args, { cwd, env: { ...env }, detached: true, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
  standBack(child.pid, niceness);
  child.on('message', (message: unknown) => {
    let parsed: FromTrainer;
    try {
      parsed = parseAs(FromTrainer, message, 'message from the trainer');
    } catch (error) {
      return onInvalid(error);
    }
    onMessage(parsed);
  });
  return {
    pid: child.pid,
    send(message) {
      if (child.connected) child.send(message, () => undefined);
    },
    kill(signal) {
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
      try {
        process.kill(-child.pid, signal);
      } catch {
        // Gone between the check and the call.
      }
    },
    exited: exitOf(child),
  };
}

/** Gone already, or the system allows or knows no such change: slower answers, nothing worse. */
function ifPossible(change: () => void): void {
  try {
    change();
  } catch {}
}

/**
 * Before it has started threads of its own: they take the priority over. Left alone, a trainer on all cores holds up the API and the database for whole time slices.
 * Where Linux groups processes by session (kernel.sched_autogroup_enabled, the rule outside containers), niceness counts only within a session, and a trainer is one of its
 * own: its share beside others is then the niceness of the whole session (man 7 sched).
 */
function standBack(pid: number | undefined, niceness: number): void {
  if (pid === undefined || niceness === 0) return;
  ifPossible(() => setPriority(pid, Math.max(niceness, getPriority())));
  // r+: never made where it is not there.
  ifPossible(() => writeFileSync(`/proc/${pid}/autogroup`, String(niceness), { flag: 'r+' }));
}

async function exitOf(child: ChildProcess): Promise<TrainerExit> {
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output = `${output}${text}`.slice(-keptOutput);
    });
  const spawnError = new Promise<Error>((failed) => child.once('error', failed));
  // 'exit' may come before the last messages; 'disconnect' comes after them.
  const gone = Promise.all([
    new Promise((closed) => child.once('close', closed)),
    new Promise<void>((read) => (child.connected ? child.once('disconnect', () => read()) : read())),
  ]);
  const failure = await Promise.race([gone.then(() => null), spawnError]);
  if (failure) return { code: null, signal: null, output: `${output}${failure.message}` };
  return { code: child.exitCode, signal: child.signalCode, output };
}
