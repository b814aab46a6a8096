import { spawn } from 'node:child_process';
import { freePort } from './postgres.js';

export interface TestRedis {
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

/** Real redis-server on a free port, nothing kept on disk. Throws with the repair when it is not installed. */
export async function startRedis(): Promise<TestRedis> {
  const port = await freePort();
  const child = spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await new Promise<void>((ready, failed) => {
    let output = '';
    child.once('error', () => failed(new Error('redis-server is not installed (Debian and Ubuntu: apt-get install redis-server)')));
    child.once('exit', (code) => failed(new Error(`redis-server ended with ${code}: ${output}`)));
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      if (output.includes('Ready to accept connections')) ready();
    });
  });
  return {
    url: `redis://127.0.0.1:${port}`,
    pid: child.pid ?? 0,
    stop: () =>
      new Promise((gone) => {
        child.removeAllListeners('exit');
        child.once('exit', () => gone());
        child.kill('SIGTERM');
      }),
  };
}
