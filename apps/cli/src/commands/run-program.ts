/** Commands that are programs of other rooms: run, not imported, so that the CLI stays a client of the REST API without TensorFlow or Postgres. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';

const programs = {
  up: '../../../up/dist/main.js',
  backup: '../../../up/dist/backup-main.js',
  'add-model': '../../../../packages/hf/dist/add-model.js',
  doctor: '../../../../packages/native/dist/doctor.js',
} as const;

/**
 * Runs a program with our terminal and returns its exit code. Signals to us are passed on: a Ctrl-C in a terminal reaches the program twice then, a
 * `kill` of our pid once; the programs take signals close together for one.
 */
export function runProgram(name: keyof typeof programs, args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<number> {
  const file = fileURLToPath(new URL(programs[name], import.meta.url));
  return new Promise((done, failed) => {
    const child = spawn(process.execPath, [file, ...args], { stdio: 'inherit', env });
    const forward = (signal: NodeJS.Signals) => child.kill(signal);
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
    for (const signal of signals) process.on(signal, forward);
    child.on('error', failed);
    child.on('close', (code, signal) => {
      for (const s of signals) process.off(s, forward);
      done(code ?? 128 + (signal ? constants.signals[signal] : 0));
    });
  });
}
