import { spawn } from 'node:child_process';

/**
 * Runs a program without a shell and collects its output. A program that does not exist gives status null.
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, onLine?: (line: string) => void }} options
 * @returns {Promise<{ status: number | null, output: string }>}
 */
export function runProgram(command, args, { onLine, ...options } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let rest = '';
    const take = (text) => {
      output += text;
      if (!onLine) return;
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) onLine(line);
    };
    child.stdout.setEncoding('utf8').on('data', take);
    child.stderr.setEncoding('utf8').on('data', take);
    child.once('error', (error) => {
      if (error.code === 'ENOENT') resolve({ status: null, output: `${command}: not found` });
      else reject(error);
    });
    child.once('close', (status) => resolve({ status: status ?? 128, output }));
  });
}

/** The end of a program's output, for an error message. @param {string} output */
export const tail = (output, lines = 12) => output.trim().split('\n').slice(-lines).join('\n');
