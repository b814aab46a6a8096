import { spawn } from 'node:child_process';
import { connect } from 'node:net';
import { freePort } from './postgres.js';

export interface TestRedis {
  readonly url: string;
  readonly pid: number;
  /** FLUSHALL. */
  flush(): Promise<void>;
  stop(): Promise<void>;
}

/** Real redis-server on a free port (or the given one), nothing kept on disk. Throws with the repair when it is not installed. */
export async function startRedis(onPort?: number): Promise<TestRedis> {
  const port = onPort ?? (await freePort());
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
    flush: () =>
      new Promise((flushed, failed) => {
        const socket = connect(port, '127.0.0.1', () => socket.end('FLUSHALL\r\n'));
        socket.once('error', failed);
        socket.resume().once('close', () => flushed());
      }),
    stop: () =>
      new Promise((gone) => {
        child.removeAllListeners('exit');
        if (child.exitCode !== null || child.signalCode !== null) return gone();
        child.once('exit', () => gone());
        child.kill('SIGTERM');
      }),
  };
}
