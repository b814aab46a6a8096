/** Wakes streams when events were committed: LISTEN on a connection of its own, opened again when it breaks. Lost wake-ups are allowed. */
import type { EventNotifier } from '@rowsmith/core';
import pg from 'pg';
import { eventChannel } from './append-events.js';

const reconnectMs = 1_000;

export interface ListeningNotifier extends EventNotifier {
  close(): Promise<void>;
}

export function startEventNotifier(databaseUrl: string): ListeningNotifier {
  const wakes = new Map<string, Set<() => void>>();
  let client: pg.Client | null = null;
  let timer: NodeJS.Timeout | null = null;
  let closed = false;

  const retry = () => {
    client = null;
    if (closed || timer) return;
    timer = setTimeout(() => {
      timer = null;
      void connect();
    }, reconnectMs);
  };
  const connect = async () => {
    const next = new pg.Client({ connectionString: databaseUrl });
    client = next;
    next.on('error', retry);
    next.on('end', retry);
    next.on('notification', ({ payload }) => {
      for (const wake of wakes.get(payload ?? '') ?? []) wake();
    });
    try {
      await next.connect();
      await next.query(`LISTEN ${eventChannel}`);
      // Events of the time without a connection: everybody looks once.
      for (const set of wakes.values()) for (const wake of set) wake();
    } catch {
      await next.end().catch(() => undefined);
      retry();
    }
  };
  void connect();

  return {
    subscribe(jobId, wake) {
      const set = wakes.get(jobId) ?? new Set();
      wakes.set(jobId, set.add(wake));
      return () => {
        set.delete(wake);
        if (set.size === 0) wakes.delete(jobId);
      };
    },
    async close() {
      closed = true;
      if (timer) clearTimeout(timer);
      await client?.end().catch(() => undefined);
    },
  };
}
