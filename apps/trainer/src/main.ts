/** The process of one attempt: waits for `start`, runs it, reports, ends with an exit code of `trainerExit`. */
import { type TrainerStart, trainerExit } from '@rowsmith/contracts';
import { threadCount } from '@rowsmith/native';
import { createLogger } from '@rowsmith/telemetry';
import { openChannel } from './channel.js';
import { exitCodeOf, failureOf } from './failure.js';
import { machineMemory } from './machine-memory.js';
import { runAttempt } from './run-attempt.js';
import { StopRequest } from './stop-request.js';

// stdout stays empty: TensorFlow and others may print there.
const log = createLogger('trainer', 'info', process.stderr);

let begin: (start: TrainerStart) => void = () => undefined;
let giveUp: (error: unknown) => void = () => undefined;
const started = new Promise<TrainerStart>((resolve, reject) => {
  begin = resolve;
  giveUp = reject;
});
const stop = new StopRequest();
const recorded: ((manifestKey: string) => void)[] = [];

const channel = openChannel(
  process,
  (message) => {
    if (message.type === 'start') begin(message);
    else if (message.type === 'stop') stop.request(message.reason);
    else for (const listener of recorded) listener(message.manifest_key);
  },
  (error) => void fail(error),
);
// The worker is gone: whatever is written from now on would be an orphan, and another attempt will begin.
process.once('disconnect', () => process.exit(trainerExit.infra));
process.once('uncaughtException', (error) => void fail(error));
process.once('unhandledRejection', (error) => void fail(error));

let failing = false;
async function fail(error: unknown): Promise<void> {
  // What fails because the first failure ends the attempt is no news.
  if (failing) return;
  failing = true;
  giveUp(error);
  const failure = failureOf(error);
  // The worker keeps the end of stderr for its log; the message is for the user.
  log.error({ op: 'attempt', class: failure.class, code: failure.code, err: error }, 'attempt failed');
  await channel.send(failure).catch(() => undefined);
  process.exit(exitCodeOf(failure));
}

try {
  // Nobody could ever say `start`, and the process would end silently with Node's code 13.
  if (!process.send) throw new Error('there is no IPC channel: the trainer is started by the worker, not by hand');
  const exitCode = await runAttempt(await started, {
    channel,
    stop,
    onRecorded: (listener) => recorded.push(listener),
    clock: () => performance.now(),
    // What trainerEnvironment set, or the number that TensorFlow takes without it.
    threads: Number(process.env['TF_NUM_INTRAOP_THREADS']) || threadCount(),
    memory: () => machineMemory(process.env['ROWSMITH_MEMORY_MB']),
    log,
  });
  process.exit(exitCode);
} catch (error) {
  await fail(error);
}
