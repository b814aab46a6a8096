/** Everything the worker reads from its environment; all faults are reported at once. */
import { randomBytes } from 'node:crypto';
import { join, resolve } from 'node:path';
import { isId, newId, type WorkerId } from '@rowsmith/contracts';
import { cacheFolder, threadCount } from '@rowsmith/native';

export interface WorkerEnv {
  readonly databaseUrl: string;
  readonly redisUrl: string | null;
  readonly objectsDir: string;
  readonly modelsDir: string;
  readonly threads: number;
  /** Stable over restarts when given: the worker then takes back what its killed predecessor held, at once. */
  readonly workerId: WorkerId;
  readonly logLevel: string;
  /** Time for a trainer to stop when asked, before it is killed. */
  readonly stopGraceMs: number;
  /** Silence of a trainer after which it counts as hung. A step, an evaluation or a scoring is far shorter. */
  readonly silenceMs: number;
}

export class EnvError extends Error {
  override readonly name = 'EnvError';
  constructor(readonly faults: readonly string[]) {
    super(`The environment is not complete:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`);
  }
}
type Env = Readonly<Record<string, string | undefined>>;

/** Empty values count as absent. Values are not repeated in errors: they may be secrets. */
export function loadEnv(source: Env): WorkerEnv {
  const faults: string[] = [];
  const text = (name: string) => (source[name] === '' ? undefined : source[name]);
  const url = (name: string, pattern: RegExp) => {
    const value = text(name);
    if (value !== undefined && !pattern.test(value)) faults.push(`${name} has the wrong form`);
    return value ?? null;
  };
  const seconds = (name: string, otherwise: number) => {
    const value = Number(text(name) ?? otherwise);
    if (!Number.isFinite(value) || value < 1 || value > 86_400) faults.push(`${name} must be a number of seconds from 1 to 86400`);
    return value * 1000;
  };
  const databaseUrl = url('DATABASE_URL', /^postgres(ql)?:\/\//);
  if (databaseUrl === null) faults.push('DATABASE_URL is not set');
  const redisUrl = url('REDIS_URL', /^rediss?:\/\//);
  const workerId = text('ROWSMITH_WORKER_ID') ?? newId('worker', randomBytes);
  if (!isId('worker', workerId)) faults.push('ROWSMITH_WORKER_ID must be `worker-` and 24 letters or digits');
  let threads = 1;
  try {
    threads = threadCount(source);
  } catch (error) {
    faults.push(error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error));
  }
  const stopGraceMs = seconds('ROWSMITH_STOP_GRACE_SECONDS', 30);
  const silenceMs = seconds('ROWSMITH_TRAINER_SILENCE_SECONDS', 1800);
  if (faults.length > 0) throw new EnvError(faults);
  return {
    databaseUrl: databaseUrl ?? '',
    redisUrl,
    objectsDir: join(resolve(text('ROWSMITH_DATA') ?? '.rowsmith'), 'objects'),
    modelsDir: resolve(text('ROWSMITH_MODELS') ?? join(cacheFolder(source), 'models')),
    threads,
    workerId: workerId as WorkerId,
    logLevel: text('ROWSMITH_LOG_LEVEL') ?? 'info',
    stopGraceMs,
    silenceMs,
  };
}
