/**
 * Requests at a fixed rate, spaced evenly, whether earlier ones were answered or not: a slow server is not spared by clients that wait for it.
 * A request's time counts from when it was due, so that what had to wait for a late driver or a late server counts too.
 */
import { Agent, request as send } from 'node:http';

/** Times in milliseconds. */
export class Times {
  #all = [];
  failed = new Map();
  add(ms) {
    this.#all.push(ms);
  }
  fail(why) {
    this.failed.set(why, (this.failed.get(why) ?? 0) + 1);
  }
  summary() {
    const sorted = Float64Array.from(this.#all).sort();
    const at = (share) => sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
    const errors = [...this.failed.values()].reduce((sum, n) => sum + n, 0);
    return { requests: sorted.length + errors, errors, p50: at(0.5), p95: at(0.95), p99: at(0.99), max: sorted.at(-1) ?? Number.NaN };
  }
}

function once(agent, url, headers, { method = 'GET', path, body }) {
  return new Promise((done, failed) => {
    const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const extra = payload === undefined ? {} : { 'content-type': 'application/json', 'content-length': payload.length };
    const question = send(new URL(path, url), { agent, method, headers: { ...headers, ...extra }, timeout: 30_000 }, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('end', () => done({ status: answer.statusCode, body: Buffer.concat(parts) }));
      answer.on('error', failed);
    });
    question.on('timeout', () => question.destroy(new Error('no answer for 30 s')));
    question.on('error', failed);
    question.end(payload);
  });
}

/**
 * @param {{url: string, key: string, rate: number, seconds: number, requests: () => {name: string, path: string, method?: string, body?: unknown}, connections?: number}} load
 * @returns {Promise<{all: Times, byName: Map<string, Times>, lateMs: number}>} `lateMs`: how late the driver itself was at worst.
 */
export async function openLoop({ url, key, rate, seconds, requests, connections = 64 }) {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const headers = { authorization: `Bearer ${key}` };
  const all = new Times();
  const byName = new Map();
  const open = new Set();
  let lateMs = 0;
  const begin = performance.now();
  const count = Math.round(rate * seconds);
  for (let i = 0; i < count; ) {
    const now = performance.now();
    for (; i < count && begin + (i * 1000) / rate <= now; i += 1) {
      const due = begin + (i * 1000) / rate;
      lateMs = Math.max(lateMs, now - due);
      const wanted = requests();
      const times = byName.get(wanted.name) ?? new Times();
      byName.set(wanted.name, times);
      const asked = once(agent, url, headers, wanted).then(
        ({ status, body }) => {
          if (status >= 300) {
            const why = `${status} ${body.toString().slice(0, 160)}`;
            for (const one of [all, times]) one.fail(why);
            return;
          }
          const ms = performance.now() - due;
          for (const one of [all, times]) one.add(ms);
        },
        (error) => {
          for (const one of [all, times]) one.fail(error.message);
        },
      );
      open.add(asked);
      void asked.then(() => open.delete(asked));
    }
    await new Promise((next) => setTimeout(next, Math.max(0, begin + (i * 1000) / rate - performance.now())));
  }
  await Promise.all(open);
  agent.destroy();
  return { all, byName, lateMs };
}
