/**
 * Writes of one attempt, one after the other. A write that throws is tried again, for a restart of the database must not cost the job an attempt;
 * after `patienceMs` of failures in a row the attempt counts as lost.
 */
export class Persistence {
  #last: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(
    private readonly patienceMs: number,
    private readonly giveUp: () => void,
  ) {}

  get closed(): boolean {
    return this.#closed;
  }

  add(write: () => Promise<void>): void {
    this.#last = this.#last.then(() => this.#untilDone(write));
  }

  /** Resolves when everything added so far is written or given up. */
  async idle(): Promise<void> {
    for (let seen: Promise<void> | undefined; seen !== this.#last; ) {
      seen = this.#last;
      await seen;
    }
  }

  /** What is waiting is dropped. */
  close(): void {
    this.#closed = true;
  }

  async #untilDone(write: () => Promise<void>): Promise<void> {
    const began = performance.now();
    for (let delayMs = 100; !this.#closed; delayMs = Math.min(2 * delayMs, 5000)) {
      try {
        return await write();
      } catch {
        if (performance.now() - began > this.patienceMs) return this.giveUp();
        await new Promise((next) => setTimeout(next, delayMs));
      }
    }
  }
}
