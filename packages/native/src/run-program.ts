import { spawn } from 'node:child_process';
import { systemErrorCode } from './errors.js';

export interface ProgramResult {
  /** null: the program does not exist. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end without a shell. A program that is not there is a result, not an exception. */
export function runProgram(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<ProgramResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.once('error', (error) => {
      if (systemErrorCode(error) === 'ENOENT') resolve({ status: null, stdout: '', stderr: `${command}: not found` });
      else reject(error);
    });
    child.once('close', (status, signal) =>
      resolve({ status: status ?? 128, stdout, stderr: signal ? `${stderr}\nended by ${signal}` : stderr }),
    );
  });
}
