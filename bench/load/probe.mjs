/**
 * Preloaded into the service's processes (NODE_OPTIONS=--import=...): once a second a line about the API process in $ROWSMITH_LOAD_PROBE: how late its event loop is,
 * its pauses for garbage, its memory, and its processor time.
 */
import { openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay, PerformanceObserver, performance } from 'node:perf_hooks';

if (process.argv[1]?.includes('apps/api/') && process.env.ROWSMITH_LOAD_PROBE) {
  const out = openSync(join(process.env.ROWSMITH_LOAD_PROBE, `api-${process.pid}.jsonl`), 'a');
  const resolution = 10;
  const delay = monitorEventLoopDelay({ resolution });
  delay.enable();
  let pauses = { minor: 0, minorMs: 0, major: 0, majorMs: 0, longestMs: 0 };
  // What a major collection leaves is what is in use: the size between two says only how much garbage is let lie.
  let kept = null;
  const majorKind = 4;
  new PerformanceObserver((list) => {
    for (const { duration, detail } of list.getEntries()) {
      const kind = detail.kind === majorKind ? 'major' : 'minor';
      pauses[kind] += 1;
      pauses[`${kind}Ms`] += duration;
      pauses.longestMs = Math.max(pauses.longestMs, duration);
      if (kind === 'major') kept = process.memoryUsage().heapUsed;
    }
  }).observe({ entryTypes: ['gc'] });
  let used = performance.eventLoopUtilization();
  const mib = (bytes) => (bytes === null ? null : Math.round(bytes / 2 ** 18) / 4);
  setInterval(() => {
    const now = performance.eventLoopUtilization();
    const { rss, heapTotal, heapUsed, external, arrayBuffers } = process.memoryUsage();
    const late = (ns) => Math.max(0, Math.round(ns / 1e5) / 10 - resolution);
    const line = {
      at: Date.now(),
      busy: performance.eventLoopUtilization(now, used).utilization,
      late: { p50: late(delay.percentile(50)), p99: late(delay.percentile(99)), max: late(delay.max) },
      gc: pauses,
      ...{
        rss: mib(rss),
        heapTotal: mib(heapTotal),
        heapUsed: mib(heapUsed),
        external: mib(external),
        arrayBuffers: mib(arrayBuffers),
        kept: mib(kept),
      },
      cpu: process.cpuUsage(),
    };
    used = now;
    kept = null;
    pauses = { minor: 0, minorMs: 0, major: 0, majorMs: 0, longestMs: 0 };
    delay.reset();
    writeSync(out, `${JSON.stringify(line)}\n`);
  }, 1_000).unref();
}
