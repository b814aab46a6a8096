import type { WaitingJob } from '@rowsmith/core';
import { inSpan } from '@rowsmith/telemetry';

/** A waiting job is announced again every round, until a worker takes it; its trace shows the first time only. */
export class FirstWakes {
  #known = new Set<string>();

  /** `waiting`: all that wait now. Announces each by `wake`, the new ones inside a span of their traces. */
  async announce(waiting: readonly WaitingJob[], wake: (job: WaitingJob) => Promise<void>): Promise<void> {
    const known = this.#known;
    this.#known = new Set();
    for (const job of waiting) {
      const key = `${job.jobId}-${job.dispatchNo}`;
      if (known.has(key) || job.traceparent === null) await wake(job);
      else {
        const attributes = { 'rowsmith.job.id': job.jobId, 'rowsmith.dispatch': job.dispatchNo };
        await inSpan('job.dispatch', { role: 'producer', parent: job.traceparent, attributes }, () => wake(job));
      }
      this.#known.add(key);
    }
  }
}
