/** The service that the quickstart talks to: the running `rowsmith up` of the data folder, or one of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type Connection, findConnection } from '../connection.js';
import { CliError } from '../exit.js';

export interface QuickstartStack {
  readonly connection: Connection;
  readonly ownedByUs: boolean;
  stop(): Promise<void>;
}

async function answers(connection: Connection): Promise<boolean> {
  return fetch(`${connection.baseUrl}/readyz`, { signal: AbortSignal.timeout(2_000) }).then(
    (response) => response.ok,
    () => false,
  );
}

/** Starts `rowsmith up` on a free port with its default data folder and waits until jobs can be taken. */
export async function openStack(say: (line: string) => void): Promise<QuickstartStack> {
  const running = await findConnection({}, process.env).catch(() => null);
  if (running !== null && (await answers(running))) {
    say(`Using the running service at ${running.baseUrl}`);
    return { connection: running, ownedByUs: false, stop: async () => undefined };
  }
  const child = spawn(process.execPath, [fileURLToPath(new URL('../../../up/dist/main.js', import.meta.url)), '--port', '0', '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  const stop = () => endOf(child);
  try {
    await ready(child, say);
    return { connection: await findConnection({}, process.env), ownedByUs: true, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function ready(child: ChildProcess, say: (line: string) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    if (child.stdout === null) return reject(new CliError('no output from rowsmith up'));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const state = JSON.parse(line) as { state: string; message?: string; url?: string };
      if (state.state === 'note' && state.message) say(state.message);
      if (state.state === 'ready') {
        say(`Service ready at ${state.url}`);
        resolve();
      }
    });
    child.once('error', reject);
    child.once('exit', (code) => reject(new CliError(`rowsmith up ended with exit code ${code}; its message is above`)));
  });
}

function endOf(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((done) => {
    child.once('exit', () => done());
    child.kill('SIGTERM');
  });
}
