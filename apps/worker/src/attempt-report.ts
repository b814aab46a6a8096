/** Carries a trainer's messages into the tables, in their order, one write at a time; metrics that arrive together are one write. */
import type { FromTrainer, MetricPoint } from '@rowsmith/contracts';
import type { AttemptStore, Fenced, NewEvent } from '@rowsmith/core';

type Final = Extract<FromTrainer, { type: 'done' | 'failed' | 'stopped' }>;

export interface AttemptReport {
  add(message: FromTrainer): void;
  /** Everything that was added has been written (or the attempt was fenced). */
  flush(): Promise<void>;
  /** The message with which the trainer ended, if it did. */
  readonly final: Final | null;
}
export interface ReportOptions {
  readonly onFenced: () => void;
  /** A checkpoint stands in the tables. */
  readonly onRecorded: (manifestKey: string) => void;
  readonly onError: (error: unknown) => void;
  readonly now: () => Date;
}

const estimateEveryMs = 5_000;
const info = (type: NewEvent['type'], message: string, data: Record<string, unknown> = {}): NewEvent => ({
  level: 'info',
  type,
  message,
  data,
});

export function createAttemptReport(store: AttemptStore, jobId: string, epoch: number, options: ReportOptions): AttemptReport {
  const queue: FromTrainer[] = [];
  let writing: Promise<void> | null = null;
  let fenced = false;
  let final: Final | null = null;
  let nextEstimate = 0;
  let secondsPerStep: number | null = null;

  const estimate = async (points: readonly MetricPoint[], totalSteps: number): Promise<Fenced> => {
    for (const { seconds } of points)
      if (seconds !== null) secondsPerStep = secondsPerStep === null ? seconds : secondsPerStep + 0.2 * (seconds - secondsPerStep);
    const last = points.at(-1);
    const now = options.now().getTime();
    if (!last || secondsPerStep === null || now < nextEstimate) return 'ok';
    nextEstimate = now + estimateEveryMs;
    return store.progress(
      jobId,
      epoch,
      { estimatedFinish: new Date(now + Math.max(0, totalSteps - last.step) * secondsPerStep * 1000) },
      [],
    );
  };

  const write = async (message: FromTrainer): Promise<Fenced> => {
    switch (message.type) {
      case 'phase':
        return store.progress(jobId, epoch, { phase: message.phase }, [info('phase', message.message, { phase: message.phase })]);
      case 'resumed': {
        const rejected = message.rejected.map(
          (r): NewEvent => ({
            level: 'warn',
            type: 'warning',
            message: `A checkpoint was passed over: ${r.reason}`,
            data: { manifest_key: r.manifest_key },
          }),
        );
        return store.progress(jobId, epoch, {}, [
          ...rejected,
          info('phase', `Resumed from the checkpoint of step ${message.step}`, { phase: 'resumed', step: message.step }),
        ]);
      }
      case 'planned': {
        const { type: _type, total_steps, ...facts } = message;
        const text = `${facts.train_examples} examples, ${total_steps} steps; training ${facts.rows} rows (${facts.trainable_parameters} parameters)`;
        const truncated: NewEvent[] =
          facts.truncated_examples > 0
            ? [
                {
                  level: 'warn',
                  type: 'warning',
                  message: `${facts.truncated_examples} examples are longer than max_seq_length and were cut`,
                },
              ]
            : [];
        return store.progress(jobId, epoch, { totalSteps: total_steps }, [
          info('phase', text, { phase: 'planned', total_steps, ...facts }),
          ...truncated,
        ]);
      }
      case 'metric': {
        const points = [message.point];
        for (let next = queue[0]; next?.type === 'metric'; next = queue[0]) {
          points.push(next.point);
          queue.shift();
        }
        const stored = await store.metrics(jobId, epoch, points);
        return stored === 'fenced' ? stored : estimate(points, message.total_steps);
      }
      case 'sample': {
        const who = message.when === 'before' ? 'base model' : 'tuned model';
        return store.progress(jobId, epoch, {}, [
          info('sample', `Answer of the ${who}: ${message.completion.slice(0, 200)}`, {
            when: message.when,
            prompt: message.prompt,
            completion: message.completion,
          }),
        ]);
      }
      case 'checkpoint': {
        const stored = await store.checkpoint(jobId, epoch, {
          step: message.step,
          manifestKey: message.manifest_key,
          manifestSha256: message.manifest_sha256,
          metrics: message.metrics,
        });
        if (stored === 'ok') options.onRecorded(message.manifest_key);
        return stored;
      }
      case 'done':
      case 'failed':
      case 'stopped':
        final = message;
        return 'ok';
    }
  };

  const drain = async () => {
    for (let message = queue.shift(); message && !fenced; message = queue.shift()) {
      if ((await write(message)) === 'fenced') {
        fenced = true;
        options.onFenced();
      }
    }
  };
  return {
    get final() {
      return final;
    },
    add(message) {
      queue.push(message);
      writing ??= drain()
        .catch(options.onError)
        .finally(() => {
          writing = null;
        });
    },
    async flush() {
      while (writing !== null) await writing;
    },
  };
}
