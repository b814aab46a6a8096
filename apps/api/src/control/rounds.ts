/** Work that is looked at again and again: the loops of this process differ in what a round is, not in how rounds follow each other. */
export interface Rounds {
  /** Looks now instead of at the next tick. */
  nudge(): void;
  /** Resolves when the round in progress is over. */
  stop(): Promise<void>;
}

/** One round at a time; the next after everyMs, or at once when nudged or when `round` says that there is more. `round` must not throw. */
export function startRounds(round: () => Promise<'more' | 'enough'>, everyMs: number): Rounds {
  let stopped = false;
  let nudged = false;
  let wake = () => {};
  const loop = async () => {
    while (!stopped) {
      nudged = false;
      const left = await round();
      if (stopped || nudged || left === 'more') continue;
      await new Promise<void>((next) => {
        const timer = setTimeout(next, everyMs);
        wake = () => {
          clearTimeout(timer);
          next();
        };
      });
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
