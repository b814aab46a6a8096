/** Work that is looked at again and again: the loops of this process differ in what a round is, not in how rounds follow each other. */
export interface Rounds {
  /** Looks now instead of at the next tick. */
  nudge(): void;
  /** Resolves when the round in progress is over. */
  stop(): Promise<void>;
}

/** Between two rounds that were nudged: fifty new jobs a second need no fifty rounds. The first nudge after a quiet time is not held up. */
const nudgeGapMs = 100;

/** One round at a time; the next after everyMs, soon when nudged, at once when `round` says that there is more. `round` must not throw. */
export function startRounds(round: () => Promise<'more' | 'enough'>, everyMs: number): Rounds {
  let stopped = false;
  let nudged = false;
  let wake = () => {};
  const loop = async () => {
    while (!stopped) {
      nudged = false;
      const began = performance.now();
      const left = await round();
      if (stopped || left === 'more') continue;
      const pause = (ms: number, until: () => boolean) =>
        new Promise<void>((next) => {
          const timer = setTimeout(next, ms);
          wake = () => {
            if (!until()) return;
            clearTimeout(timer);
            next();
          };
        });
      if (!nudged) await pause(everyMs, () => true);
      const gap = began + nudgeGapMs - performance.now();
      if (nudged && !stopped && gap > 0) await pause(gap, () => stopped);
    }
  };
  const running = loop();
  return {
    nudge() {
      nudged = true;
      wake();
    },
    async stop() {
      stopped = true;
      wake();
      await running;
    },
  };
}
