/** The process of one attempt: waits for `start`, runs it, reports, ends with an exit code of `trainerExit`. */
import { type TrainerStart, trainerExit } from '@rowsmith/contracts';
import { threadCount } from '@rowsmith/native';
import { createLogger, inSpan, startTracing } from '@rowsmith/telemetry';
import { openChannel } from './channel.js';
import { exitCodeOf, failureOf } from './failure.js';
import { machineMemory } from './machine-memory.js';
import { phaseSpans } from './phase-spans.js';
import { type AttemptSurroundings, runAttempt } from './run-attempt.js';
import { StopRequest } from './stop-request.js';

// stdout stays empty: TensorFlow and others may print there.
const log = createLogger('trainer', 'info', process.stderr);

// A collector that is away holds the end of the process by a second at most.
const tracing = startTracing('trainer', process.env, 1_000);
const endTracing = async () => (await tracing)();

let begin: (start: TrainerStart) => void = () => undefined;
let giveUp: (error: unknown) => void = () => undefined;
const started = new Promise<TrainerStart>((resolve, reject) => {
  begin = resolve;
  giveUp = reject;
});
const stop = new StopRequest();
const recorded: ((manifestKey: string) => void)[] = [];
let wantedCheckpoint: number | null = null;

const channel = openChannel(
  process,
  (message) => {
    if (message.type === 'start') begin(message);
    else if (message.type === 'stop') stop.request(message.reason);
    else if (message.type === 'checkpoint_wanted') wantedCheckpoint = message.step;
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
  await endTracing();
  process.exit(exitCodeOf(failure));
}

const surroundings: Omit<AttemptSurroundings, 'channel'> = {
  stop,
  onRecorded: (listener) => recorded.push(listener),
  wantedCheckpoint: () => wantedCheckpoint,
  clock: () => performance.now(),
  // What trainerEnvironment set, or the number that TensorFlow takes without it.
  threads: Number(process.env['TF_NUM_INTRAOP_THREADS']) || threadCount(),
  memory: () => machineMemory(process.env['ROWSMITH_MEMORY_MB']),
  log,
};

try {
  // Nobody could ever say `start`, and the process would end silently with Node's code 13.
  if (!process.send) throw new Error('there is no IPC channel: the trainer is started by the worker, not by hand');
  const start = await started;
  await tracing;
  const attributes = { 'rowsmith.job.id': start.spec.job_id, 'rowsmith.attempt': start.epoch };
  const exitCode = await inSpan('trainer.attempt', { parent: start.traceparent, attributes }, async () => {
    const spans = phaseSpans(channel);
    try {
      return await runAttempt(start, { ...surroundings, channel: spans });
    } catch (error) {
      spans.end(error);
      throw error;
    }
  });
  await endTracing();
  process.exit(exitCode);
} catch (error) {
  await fail(error);
}
