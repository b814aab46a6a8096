/** A client that goes on asking, as the SDKs do, and notes every answer that a client should never get. */
import type { Violation } from './verdict.js';

export class PatientClient {
  /** Answers by status, for the report. */
  readonly statuses = new Map<number, number>();
  #violations = new Set<string>();

  constructor(
    private readonly url: string,
    private readonly key: string,
    private readonly onViolation: (violation: Violation) => void,
    private readonly patienceMs = 120_000,
  ) {}

  /** One question. null: no connection, or it broke. 5xx other than 503 with Retry-After are violations. */
  async once(path: string, init: RequestInit = {}): Promise<{ readonly status: number; readonly body: Buffer } | null> {
    try {
      const answer = await fetch(`${this.url}${path}`, {
        ...init,
        headers: { authorization: `Bearer ${this.key}`, ...init.headers },
        signal: AbortSignal.timeout(30_000),
      });
      const body = Buffer.from(await answer.arrayBuffer());
      this.statuses.set(answer.status, (this.statuses.get(answer.status) ?? 0) + 1);
      if (answer.status >= 500 && (answer.status !== 503 || !answer.headers.has('retry-after'))) this.#broken(path, answer.status, body);
      return { status: answer.status, body };
    } catch {
      return null;
    }
  }

  #broken(path: string, status: number, body: Buffer): void {
    const found = `${path.replace(/ftjob-\w+/, '{id}')}: ${status} ${body.toString().slice(0, 300)}`;
    if (this.#violations.has(found)) return;
    this.#violations.add(found);
    this.onViolation({ rule: 'the API answers, or says 503 with Retry-After', found });
  }

  /** Until it is answered with 2xx. Throws at once for 4xx. */
  async ask<T>(path: string, init: RequestInit = {}, patienceMs = this.patienceMs): Promise<T> {
    return JSON.parse((await this.bytes(path, init, patienceMs)).toString('utf8')) as T;
  }

  async bytes(path: string, init: RequestInit = {}, patienceMs = this.patienceMs): Promise<Buffer> {
    for (const deadline = performance.now() + patienceMs; ; ) {
      const answer = await this.once(path, init);
      if (answer !== null && answer.status < 300) return answer.body;
      if (answer !== null && answer.status < 500 && answer.status !== 429)
        throw new Error(`${init.method ?? 'GET'} ${path}: ${answer.status} ${answer.body.toString().slice(0, 400)}`);
      if (performance.now() > deadline) throw new Error(`${init.method ?? 'GET'} ${path}: no answer but ${answer?.status ?? 'none'}`);
      await new Promise((next) => setTimeout(next, 100));
    }
  }

  /**
   * Sequence numbers of a job's live stream as it is heard while the job runs: connected again after the last one whenever it breaks, as browsers do.
   * Ends after the job's last event, or with `signal`.
   */
  async follow(jobId: string, signal: AbortSignal): Promise<readonly number[]> {
    const seqs: number[] = [];
    while (!signal.aborted) {
      try {
        const last = seqs.at(-1);
        const answer = await fetch(`${this.url}/jobs/${jobId}/events`, {
          headers: {
            ...{ authorization: `Bearer ${this.key}`, accept: 'text/event-stream' },
            ...(last === undefined ? {} : { 'last-event-id': String(last) }),
          },
          signal,
        });
        if (answer.ok && answer.body !== null && (await hear(answer.body, seqs))) return seqs;
        await answer.body?.cancel();
      } catch {
        // Broken off; what was heard whole counts.
      }
      await new Promise((next) => setTimeout(next, 100));
    }
    return seqs;
  }
}

/** Adds the number of every event that arrives whole. Returns whether the last one of the job was among them. */
async function hear(body: ReadableStream<Uint8Array>, seqs: number[]): Promise<boolean> {
  let rest = '';
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + text).split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const seq = /^id: ?(\d+)$/m.exec(block)?.[1];
      if (seq !== undefined) seqs.push(Number(seq));
      // Only a finished job's stream says so; one that breaks, or whose server stops, ends without it.
      if (/^event: ?done$/m.test(block)) return true;
    }
  }
  return false;
}
