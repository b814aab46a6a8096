/** What the probe in the API wrote, second by second, and how its pool of connections did. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** All lines so far, oldest first. */
export async function probeLines(folder) {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.jsonl'));
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
  return texts
    .flatMap((text) => text.split('\n').slice(0, -1))
    .map((line) => JSON.parse(line))
    .sort((a, b) => a.at - b.at);
}

const largest = (numbers) => numbers.reduce((most, one) => Math.max(most, one), Number.NEGATIVE_INFINITY);
const mean = (numbers) => numbers.reduce((sum, one) => sum + one, 0) / Math.max(1, numbers.length);
const total = (numbers) => numbers.reduce((sum, one) => sum + one, 0);

/** Of the lines of one phase: the event loop and the pauses. Milliseconds. */
export function loopOf(lines) {
  return {
    busy: mean(lines.map(({ busy }) => busy)),
    lateP99: mean(lines.map(({ late }) => late.p99)),
    lateMax: largest(lines.map(({ late }) => late.max)),
    gcShare: total(lines.map(({ gc }) => gc.minorMs + gc.majorMs)) / Math.max(1, 1_000 * lines.length),
    minor: total(lines.map(({ gc }) => gc.minor)),
    major: total(lines.map(({ gc }) => gc.major)),
    longestPause: largest(lines.map(({ gc }) => gc.longestMs)),
  };
}

/** Memory in MiB by parts of `seconds`; `kept`: least heap that a major collection left in that part, or null. */
export function memoryOf(lines, seconds) {
  const parts = [];
  for (let from = 0; from < lines.length; from += seconds) {
    const some = lines.slice(from, from + seconds);
    if (some.length < seconds / 2 && parts.length > 0) break;
    const kept = some.map((line) => line.kept).filter((one) => one !== null);
    const means = Object.fromEntries(
      ['rss', 'heapTotal', 'heapUsed', 'external', 'arrayBuffers'].map((name) => [name, mean(some.map((line) => line[name]))]),
    );
    parts.push({ ...means, kept: kept.length === 0 ? null : Math.min(...kept) });
  }
  return parts;
}

/** MiB a minute by least squares over the lines from `from` seconds on; null: fewer than 60 of them. */
export function slopeOf(lines, name, from) {
  const some = lines.slice(from).filter((line) => line[name] !== null);
  if (some.length < (name === 'kept' ? 3 : 60)) return null;
  const minutes = some.map(({ at }) => (at - some[0].at) / 60_000);
  const [x, y] = [mean(minutes), mean(some.map((line) => line[name]))];
  const spread = total(minutes.map((m) => (m - x) ** 2));
  return spread === 0 ? null : total(minutes.map((m, i) => (m - x) * (some[i][name] - y))) / spread;
}

/** Looks at the pool every `everyMs` until told to end; then the largest numbers of connections in use and of queries that waited for one. */
export function watchPool(service, everyMs = 5_000) {
  const seen = { looks: 0, busy: 0, waiting: 0, looksWithWaiting: 0 };
  const look = async () => {
    const text = await service.text('/metrics').catch(() => '');
    const value = (name) => Number(new RegExp(`^rowsmith_${name} (\\S+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
    const [busy, waiting] = [value('database_pool_connections\\{state="busy"\\}'), value('database_pool_waiting')];
    if (Number.isNaN(busy)) return;
    seen.looks += 1;
    seen.busy = Math.max(seen.busy, busy);
    seen.waiting = Math.max(seen.waiting, waiting);
    if (waiting > 0) seen.looksWithWaiting += 1;
  };
  const timer = setInterval(() => void look(), everyMs);
  return () => {
    clearInterval(timer);
    return seen;
  };
}
