/** How set-up shows itself: a bar that redraws in place on a terminal, plain lines now and then everywhere else. */

const redrawMs = 100;
const plainLineMs = 10_000;
const quietMs = 2_000;

/** @param {number} ms */
export const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;

/** @param {number} done @param {number} total @param {number} width */
export function bar(done, total, width) {
  const share = total > 0 ? Math.min(1, done / total) : 0;
  const filled = Math.round(share * width);
  return `${'█'.repeat(filled)}${'░'.repeat(width - filled)} ${String(Math.floor(share * 100)).padStart(3)} %`;
}

/**
 * Shows one running step. Nothing appears before 2 s, so quick steps print one line only.
 * @param {string} name
 * @param {{ isTTY?: boolean, columns?: number, write(text: string): unknown }} out
 * @param {() => number} now milliseconds
 */
export function stepDisplay(name, out, now = Date.now) {
  const start = now();
  let lastShown = start + quietMs - plainLineMs;
  /** @type {{ message: string, done?: number, total?: number }} */
  let state = { message: '' };
  const clear = () => out.isTTY && out.write('\r\x1b[2K');

  const draw = () => {
    const time = now();
    if (time - start < quietMs || time - lastShown < (out.isTTY ? redrawMs : plainLineMs)) return;
    lastShown = time;
    const { message, done, total } = state;
    const progress = total ? bar(done ?? 0, total, out.isTTY ? 24 : 10) : '';
    const text = ['  …', `${name}:`, progress, message, `(${seconds(time - start)})`].filter(Boolean).join(' ');
    if (out.isTTY) out.write(`\r\x1b[2K${text.slice(0, (out.columns ?? 80) - 1)}`);
    else out.write(`${text}\n`);
  };
  // The clock goes on while a step says nothing.
  const timer = setInterval(draw, out.isTTY ? 500 : plainLineMs / 4);
  timer.unref();

  return {
    /** @param {{ message: string, done?: number, total?: number }} next */
    update(next) {
      state = next;
      draw();
    },
    /** @param {'✓' | '-' | '✗'} mark @param {string} detail */
    end(mark, detail) {
      clearInterval(timer);
      clear();
      const took = now() - start;
      out.write(`  ${mark} ${name}: ${detail}${mark === '-' && took < 1000 ? '' : ` (${seconds(took)})`}\n`);
    },
  };
}
