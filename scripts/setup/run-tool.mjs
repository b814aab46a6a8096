import { spawn } from 'node:child_process';
import { root } from './paths.mjs';

/** Runs a Node.js program of this repository in the foreground and returns its exit status. Signals reach it: it shares our terminal. @param {string[]} args */
export function runTool(args, env = process.env) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio: 'inherit', env });
    // The child decides how to end on Ctrl-C and SIGTERM; we wait for it.
    const pass = (signal) => child.kill(signal);
    const ignore = () => {};
    process.on('SIGINT', ignore).on('SIGTERM', pass);
    child.once('error', reject);
    child.once('close', (status, signal) => {
      process.off('SIGINT', ignore).off('SIGTERM', pass);
      resolve(status ?? (signal === 'SIGINT' ? 130 : 1));
    });
  });
}

/** Path of a command-line tool that npm installed. @param {string} path below node_modules */
export const tool = (path) => `node_modules/${path}`;
