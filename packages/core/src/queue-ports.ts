/** The wake-up service. Postgres tables decide; a message only says "look at this job". */
export interface WakeQueue {
  /** Idempotent by (jobId, dispatchNo). Without classes the workers of the default one are woken. */
  wake(
    jobId: string,
    dispatchNo: number,
    options?: { readonly deviceClasses?: readonly string[]; readonly priority?: number },
  ): Promise<void>;
  /** Takes away what a worker with a wrong clock left behind and would keep others from their work. Returns how much; 0 where clocks do no harm. */
  repair(): Promise<number>;
  /** True while the backend answers. */
  ready(): Promise<boolean>;
  close(): Promise<void>;
}
export interface WakeConsumer {
  /** Stops taking messages; resolves when the current handler returned, or at once with `force`. */
  close(force?: boolean): Promise<void>;
}
/** Returns normally when the job needs no further wake-up from this message. `signal` aborts when the lock was lost. */
export type WakeHandler = (jobId: string, signal: AbortSignal) => Promise<void>;
