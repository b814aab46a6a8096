/** Starts the built trainer as the worker does, and plays the worker: records every checkpoint, keeps every message. */
import { fork } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type FromTrainer, FromTrainer as FromTrainerSchema, parseAs, type ToTrainer, type TrainerStart } from '@rowsmith/contracts';
import { trainerEnvironment } from '@rowsmith/native';

export type Of<T extends FromTrainer['type']> = Extract<FromTrainer, { type: T }>;
export interface Controls {
  send(message: ToTrainer): void;
  kill(): void;
  disconnect(): void;
}
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly log: string;
  readonly messages: readonly FromTrainer[];
  all<T extends FromTrainer['type']>(type: T): Of<T>[];
  /** The only one of its type. */
  one<T extends FromTrainer['type']>(type: T): Of<T>;
}

const program = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const { PATH = '', HOME = '', XDG_CACHE_HOME, ROWSMITH_CACHE } = process.env;

/** `watch` hears every message as it arrives. Resolves when the process is gone and its last message was read. */
export async function attempt(
  start: unknown,
  watch: (message: FromTrainer, controls: Controls) => void = () => undefined,
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const child = fork(program, {
    env: {
      PATH,
      HOME,
      ...(XDG_CACHE_HOME ? { XDG_CACHE_HOME } : {}),
      ...(ROWSMITH_CACHE ? { ROWSMITH_CACHE } : {}),
      ...trainerEnvironment(2),
      ...env,
    },
    execArgv: [],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  const messages: FromTrainer[] = [];
  const controls: Controls = {
    send: (message) => void (child.connected && child.send(message)),
    kill: () => void child.kill('SIGKILL'),
    disconnect: () => child.disconnect(),
  };
  let log = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  child.on('message', (raw) => {
    const message = parseAs(FromTrainerSchema, raw, 'message from the trainer');
    messages.push(message);
    if (message.type === 'checkpoint') controls.send({ type: 'recorded', manifest_key: message.manifest_key });
    watch(message, controls);
  });
  const gone = Promise.all([
    // Not 'close': Node does not emit it after a disconnect() of this side.
    new Promise((exited) => child.once('exit', exited)),
    new Promise((read) => child.stderr?.once('end', read)),
    new Promise<void>((read) => child.once('disconnect', () => read())),
  ]);
  child.send(start as TrainerStart);
  await gone;
  const all = <T extends FromTrainer['type']>(type: T) => messages.filter((message): message is Of<T> => message.type === type);
  const one = <T extends FromTrainer['type']>(type: T): Of<T> => {
    const found = all(type);
    if (found.length !== 1 || !found[0])
      throw new Error(`${found.length} messages of type ${type}; the trainer ended with ${child.exitCode}: ${log}`);
    return found[0];
  };
  return { code: child.exitCode, signal: child.signalCode, log, messages, all, one };
}

/** Newest first, as the worker reads them from its table. */
export const resumeFrom = (ended: Ended): TrainerStart['resume_from'] =>
  ended
    .all('checkpoint')
    .map(({ manifest_key, manifest_sha256, step }) => ({ manifest_key, manifest_sha256, step }))
    .reverse();

/** Content of an adapter's files, but for the manifest: its keys name the attempt. */
export async function adapterFiles(root: string, { manifest_key }: Of<'done'>): Promise<ReadonlyMap<string, Buffer>> {
  const folder = join(root, manifest_key, '..');
  const names = (await readdir(folder)).filter((name) => name !== 'manifest.json').sort();
  return new Map(await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name))] as const)));
}
