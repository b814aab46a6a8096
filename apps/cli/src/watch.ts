/** Follows a job to its end: messages as lines, training as a progress bar (or one line now and then where there is no terminal). */
import type { JobProgress, RowsmithClient } from '@rowsmith/client';
import type { JobEvent, JobObject } from '@rowsmith/contracts';
import { MultiBar, type SingleBar } from 'cli-progress';
import { progressText } from './progress.js';

export interface Screen {
  /** A line of text that stays. */
  line(text: string): void;
  progress(progress: JobProgress): void;
  close(): void;
}

/** A bar at the bottom, lines scroll above it. */
function terminalScreen(stream: NodeJS.WriteStream): Screen {
  const bars = new MultiBar({
    format: '  {bar} {value}/{total}  {text}',
    barsize: 28,
    hideCursor: true,
    clearOnComplete: false,
    linewrap: false,
    stream,
  });
  let bar: SingleBar | null = null;
  return {
    line: (text) => (bar === null ? stream.write(`${text}\n`) : bars.log(`${text}\n`)),
    progress(p) {
      if (p.totalSteps === null) return;
      bar ??= bars.create(p.totalSteps, 0, { text: '' });
      bar.setTotal(p.totalSteps);
      bar.update(p.step, { text: progressText(p) });
    },
    close() {
      bars.stop();
    },
  };
}

/** About twenty lines for a whole job: a log file must stay readable. */
function plainScreen(write: (text: string) => void): Screen {
  let nextStep = 1;
  return {
    line: (text) => write(`${text}\n`),
    progress(p) {
      const total = p.totalSteps ?? 0;
      if (p.step < nextStep && p.step !== total) return;
      nextStep = p.step + Math.max(1, Math.floor(total / 20));
      write(`  step ${p.step}/${total}  ${progressText(p)}\n`);
    },
    close: () => undefined,
  };
}

export const openScreen = (stream: NodeJS.WriteStream): Screen =>
  stream.isTTY ? terminalScreen(stream) : plainScreen((text) => stream.write(text));

/** Messages that a person wants to read; samples are shown by whoever asked for them. */
function eventLine(event: JobEvent): string | null {
  if (event.type === 'metrics' || event.data['type'] === 'sample') return null;
  const mark = event.level === 'error' ? 'error: ' : event.level === 'warn' ? 'warning: ' : '';
  return `  ${mark}${event.message}`;
}

/** Streams events until the job is final and returns it. `onEvent` sees every event, after it was shown. Abort ends the watching, not the job. */
export async function watchJob(
  client: RowsmithClient,
  jobId: string,
  screen: Screen,
  options: { readonly signal?: AbortSignal; readonly onEvent?: (event: JobEvent) => void } = {},
): Promise<JobObject> {
  let isMetrics = false;
  try {
    return await client.waitForJob(jobId, {
      ...(options.signal ? { signal: options.signal } : {}),
      onEvent(event) {
        const text = eventLine(event);
        if (text !== null) screen.line(text);
        isMetrics = event.type === 'metrics';
        options.onEvent?.(event);
      },
      // A change of phase has its line already.
      onProgress: (progress) => isMetrics && screen.progress(progress),
    });
  } finally {
    screen.close();
  }
}
