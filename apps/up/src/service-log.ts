/** Service output goes whole to <data>/logs/<name>.log; the terminal shows only what an operator must see (warnings and worse). */
import { createWriteStream, mkdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';

const keepBytes = 50 * 1024 * 1024;
const pinoWarn = 40;

/** The text of a pino line at or above warning; non-JSON lines (a crash's stack) count as worth showing. null = not shown. */
export function terminalLine(line: string): string | null {
  if (!line.startsWith('{')) return line.trim() === '' ? null : line;
  try {
    const entry = JSON.parse(line) as { level?: unknown; msg?: unknown; err?: { message?: unknown } };
    if (typeof entry.level !== 'number' || entry.level < pinoWarn) return null;
    const cause = entry.err?.message;
    return `${typeof entry.msg === 'string' ? entry.msg : line}${typeof cause === 'string' ? `: ${cause}` : ''}`;
  } catch {
    return line;
  }
}

/** A sink for one service's lines. The previous log is kept once it is larger than 50 MB, at start only. */
export function openServiceLog(dataDir: string, name: string, show: (line: string) => void): (line: string) => void {
  const folder = join(dataDir, 'logs');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${name}.log`);
  if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > keepBytes) renameSync(file, `${file}.1`);
  const stream = createWriteStream(file, { flags: 'a', mode: 0o600 });
  // A full disk must not take the supervisor down: the lines are lost, the jobs are not.
  stream.on('error', () => undefined);
  return (line) => {
    stream.write(`${line}\n`);
    const text = terminalLine(line);
    if (text !== null) show(`${name}: ${text}`);
  };
}
