/** When a worker has done its share: pods of a fleet end by themselves, so that scaling in never kills a busy one. */
export class Lifespan {
  readonly #over = new AbortController();
  #runs = 0;
  #running = 0;
  #timer: NodeJS.Timeout | undefined;

  /** 0: without limit. */
  constructor(private readonly limits: { readonly maxRuns: number; readonly maxIdleMs: number }) {
    this.#rest();
  }

  /** Fires between two attempts, never within one. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** Counts `attempt` and lets no other begin after the last one. */
  async during<T>(attempt: () => Promise<T>): Promise<T> {
    clearTimeout(this.#timer);
    this.#running++;
    this.#runs++;
    try {
      return await attempt();
    } finally {
      this.#running--;
      if (this.limits.maxRuns > 0 && this.#runs >= this.limits.maxRuns) this.#over.abort(new Error('the last attempt is over'));
      else if (this.#running === 0) this.#rest();
    }
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  #rest(): void {
    if (this.limits.maxIdleMs > 0) this.#timer = setTimeout(() => this.#over.abort(new Error('no job came')), this.limits.maxIdleMs);
  }
}
