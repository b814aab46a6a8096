/** The process of one attempt: waits for `start`, runs it, reports, ends with an exit code of `trainerExit`. */
import type { TrainerStart } from '@rowsmith/contracts';
import { trainerExit } from '@rowsmith/contracts';
import { openChannel } from './channel.js';
import { exitCodeOf, failureOf } from './failure.js';
import { runAttempt } from './run-attempt.js';
import { StopRequest } from './stop-request.js';

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

async function fail(error: unknown): Promise<void> {
  giveUp(error);
  // The worker keeps the end of stderr for its log; the message below is for the user.
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  const failure = failureOf(error);
  await channel.send(failure).catch(() => undefined);
  process.exit(exitCodeOf(failure));
}

try {
  const exitCode = await runAttempt(await started, {
    channel,
    stop,
    onRecorded: (listener) => recorded.push(listener),
    clock: () => performance.now(),
  });
  process.exit(exitCode);
} catch (error) {
  await fail(error);
}
