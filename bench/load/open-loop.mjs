/**
 * Requests at a fixed rate, spaced evenly, whether earlier ones were answered or not: a slow server is not spared by clients that wait for it.
 * A request's time counts from when it was due, so that what had to wait for a late driver or a late server counts too. It always ends: no more than `mostOpen` requests
 * wait at once (what is due beyond is counted as not sent), and what is open at the end is waited for `graceMs` and then counted as not answered.
 */
import { RawClient } from './raw-client.mjs';

/** Times in milliseconds by the second in which a request was due; without end: it failed, was not sent or not answered. */
export class Times {
  #ms = [];
  #second = [];
  failed = new Map();
  add(dueMs, ms) {
    this.#second.push(Math.floor(dueMs / 1_000));
    this.#ms.push(ms);
  }
  fail(dueMs, why) {
    this.failed.set(why, (this.failed.get(why) ?? 0) + 1);
    this.add(dueMs, Number.POSITIVE_INFINITY);
  }
  /** Of those due in the seconds from `from` (with) to `to` (without). */
  summary(from = 0, to = Number.POSITIVE_INFINITY) {
    const sorted = Float64Array.from(this.#ms.filter((_, i) => this.#second[i] >= from && this.#second[i] < to)).sort();
    const at = (share) => sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
    const errors = sorted.reduce((sum, ms) => sum + (ms === Number.POSITIVE_INFINITY ? 1 : 0), 0);
    return { requests: sorted.length, errors, p50: at(0.5), p95: at(0.95), p99: at(0.99), max: sorted.at(-1) ?? Number.NaN };
  }
  static together(all) {
    const sum = new Times();
    for (const one of all) {
      sum.#ms = sum.#ms.concat(one.#ms);
      sum.#second = sum.#second.concat(one.#second);
    }
    return sum;
  }
}

/**
 * @param {{url: string, key: string, rate: number, seconds: number, requests: () => {name: string, path: string, method?: string, payload?: Buffer},
 *   connections?: number, mostOpen?: number, graceMs?: number, stop?: AbortSignal}} load
 * @returns {Promise<{byName: Map<string, Times>, lateMs: number, tookMs: number}>} `lateMs`: how late the driver itself was at worst; `tookMs`: up to the last answer.
 */
export async function openLoop({ url, key, rate, seconds, requests, connections = 64, mostOpen = 1_000, graceMs = 10_000, stop }) {
  const client = new RawClient({ url, key, connections });
  const byName = new Map();
  let open = 0;
  let ended = false;
  let allAnswered = () => undefined;
  let lateMs = 0;
  let lastMs = 0;
  const begin = performance.now();
  const count = Math.round(rate * seconds);
  const unanswered = new Set();
  for (let i = 0; i < count && !stop?.aborted; ) {
    const now = performance.now();
    for (; i < count && begin + (i * 1000) / rate <= now; i += 1) {
      const dueMs = (i * 1000) / rate;
      lateMs = Math.max(lateMs, now - begin - dueMs);
      const wanted = requests();
      const times = byName.get(wanted.name) ?? new Times();
      byName.set(wanted.name, times);
      if (open >= mostOpen) {
        times.fail(dueMs, `not sent, since ${mostOpen} were open`);
        continue;
      }
      const asked = { times, dueMs };
      unanswered.add(asked);
      open += 1;
      client.ask(wanted, (why, status, body) => {
        if (ended) return;
        open -= 1;
        unanswered.delete(asked);
        lastMs = performance.now() - begin;
        if (why !== null) times.fail(dueMs, why);
        else if (status >= 300) times.fail(dueMs, `${status} ${body.toString().slice(0, 160)}`);
        else times.add(dueMs, lastMs - dueMs);
        if (open === 0) allAnswered();
      });
    }
    await new Promise((next) => setTimeout(next, Math.max(0, begin + (i * 1000) / rate - performance.now())));
  }
  if (open > 0)
    await new Promise((done) => {
      const timer = setTimeout(done, graceMs);
      allAnswered = () => {
        clearTimeout(timer);
        done();
      };
    });
  ended = true;
  for (const { times, dueMs } of unanswered) times.fail(dueMs, `not answered ${graceMs / 1_000} s after the end`);
  client.close();
  return { byName, lateMs, tookMs: Math.max(lastMs, 1) };
}
