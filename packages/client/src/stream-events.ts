/** A job's events, live, oldest first. A broken connection is taken up again after the last event seen: none is lost, none comes twice. */
import type { JobEvent } from '@rowsmith/contracts';
import { RowsmithApiError, requireOk } from './api-error.js';
import type { Http } from './http.js';
import { pause } from './pause.js';
import { parseServerSentEvents } from './sse-parser.js';

export interface StreamEventsOptions {
  readonly signal?: AbortSignal;
  /** Number of the last event already seen; 0 starts at the first. */
  readonly lastEventId?: number;
  /** Connections that fail one after the other, without an event between them, before the error is thrown. */
  readonly maxFailures?: number;
}

/** Silence longer than a few heartbeats (15 s) means that the connection is dead though nobody said so. */
const silenceMs = 60_000;
const maxWaitMs = 10_000;

/** Worth another try: the network, an overloaded or restarting server. A refusal is not. */
const isTransient = (error: unknown) => !(error instanceof RowsmithApiError) || error.retryable;

/** The chunks of a body; throws after `silenceMs` without one. */
async function* chunks(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  try {
    for (;;) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const silence = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`the event stream was silent for ${silenceMs / 1000} s`)), silenceMs);
      });
      const { done, value } = await Promise.race([reader.read(), silence]).finally(() => clearTimeout(timer));
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** Ends after the last event of a finished job. Throws RowsmithApiError on a refusal, the abort's reason on abort. */
export async function* streamEvents(
  http: Http,
  jobId: string,
  options: StreamEventsOptions = {},
): AsyncGenerator<JobEvent, void, undefined> {
  const { signal, maxFailures = 10 } = options;
  let last = options.lastEventId ?? 0;
  let retryMs = 1_000;
  let failures = 0;
  for (;;) {
    signal?.throwIfAborted();
    try {
      const response = await requireOk(
        await http.fetch(`/v1/fine_tuning/jobs/${encodeURIComponent(jobId)}/events`, {
          headers: { accept: 'text/event-stream', ...(last > 0 ? { 'last-event-id': String(last) } : {}) },
          ...(signal ? { signal } : {}),
        }),
      );
      if (response.body === null) throw new Error('the event stream has no body');
      for await (const frame of parseServerSentEvents(chunks(response.body))) {
        if (frame.retryMs !== null) retryMs = frame.retryMs;
        if (frame.event === 'done') return;
        if (frame.data === '' || frame.id === null) continue;
        const seq = Number(frame.id);
        if (seq <= last) continue;
        last = seq;
        failures = 0;
        yield JSON.parse(frame.data) as JobEvent;
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (!isTransient(error)) throw error;
      failures += 1;
      if (failures > maxFailures) throw error;
    }
    await pause(Math.min(retryMs * 2 ** Math.max(0, failures - 1), maxWaitMs), signal);
  }
}
