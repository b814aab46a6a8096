/** The child process of one attempt: spawned, spoken to, watched, and certainly ended. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { FromTrainer, parseAs, type ToTrainer } from '@rowsmith/contracts';
import { trainerEnvironment } from '@rowsmith/native';

export interface TrainerExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Last lines of stderr, for the log. */
  readonly stderr: string;
}
export interface TrainerProcess {
  readonly pid: number | undefined;
  send(message: ToTrainer): void;
  /** No questions asked. */
  kill(): void;
  readonly exited: Promise<TrainerExit>;
}

// A supervisor that is killed with -9 takes its trainer with it; where setpriv is missing the epoch fence makes an orphan harmless.
const setpriv = process.platform === 'linux' && existsSync('/usr/bin/setpriv') ? '/usr/bin/setpriv' : null;
const keptStderr = 8_192;
/** What a trainer may know: where programs and caches are, and how to compute. No database, no queue, no API key. */
const passedOn = [
  'PATH',
  'HOME',
  'TMPDIR',
  'LANG',
  'TZ',
  'LD_LIBRARY_PATH',
  'XDG_CACHE_HOME',
  'ROWSMITH_CACHE',
  'ROWSMITH_KERNELS',
  'ROWSMITH_THREADS',
  'CUDA_VISIBLE_DEVICES',
];

function environment(source: NodeJS.ProcessEnv, threads: number): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { ...trainerEnvironment(threads) };
  for (const name of [...passedOn, ...Object.keys(env)]) if (source[name] !== undefined) env[name] = source[name];
  return env;
}

export interface TrainerOptions {
  readonly program: string;
  readonly env: NodeJS.ProcessEnv;
  readonly threads: number;
  readonly onMessage: (message: FromTrainer) => void;
  /** A message of another version, or damaged: the attempt cannot be trusted. */
  readonly onInvalid: (error: Error) => void;
}

export function startTrainer({ program, env, threads, onMessage, onInvalid }: TrainerOptions): TrainerProcess {
  const [command, args] = setpriv ? [setpriv, ['--pdeathsig', 'KILL', process.execPath, program]] : [process.execPath, [program]];
  // A group of its own, so that a Ctrl-C in a terminal asks the worker, which asks the trainer.
  const child: ChildProcess = spawn(command, args, {
    env: environment(env, threads),
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    detached: true,
  });
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-keptStderr);
  });
  child.on('message', (message) => {
    try {
      onMessage(parseAs(FromTrainer, message, 'message from the trainer'));
    } catch (error) {
      onInvalid(error instanceof Error ? error : new Error(String(error)));
    }
  });
  const exited = new Promise<TrainerExit>((done) => {
    child.once('error', (error) => done({ code: null, signal: null, stderr: error.message }));
    child.once('close', (code, signal) => done({ code, signal, stderr }));
  });
  return {
    pid: child.pid,
    send(message) {
      // The channel closes with the process; what happened then is told by its exit.
      if (child.connected) child.send(message, () => undefined);
    },
    kill() {
      child.kill('SIGKILL');
    },
    exited,
  };
}
