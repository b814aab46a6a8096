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
  async ask<T>(path: string, init: RequestInit = {}, patienceMs = 120_000): Promise<T> {
    return JSON.parse((await this.bytes(path, init, patienceMs)).toString('utf8')) as T;
  }

  async bytes(path: string, init: RequestInit = {}, patienceMs = 120_000): Promise<Buffer> {
    for (const deadline = performance.now() + patienceMs; ; ) {
      const answer = await this.once(path, init);
      if (answer !== null && answer.status < 300) return answer.body;
      if (answer !== null && answer.status < 500 && answer.status !== 429)
        throw new Error(`${init.method ?? 'GET'} ${path}: ${answer.status} ${answer.body.toString().slice(0, 400)}`);
      if (performance.now() > deadline) throw new Error(`${init.method ?? 'GET'} ${path}: no answer but ${answer?.status ?? 'none'}`);
      await new Promise((next) => setTimeout(next, 100));
    }
  }

  /** Sequence numbers of a job's live stream, connected again after the last one as browsers do, until the server ends it. */
  async eventSeqs(jobId: string, until: number, patienceMs = 60_000): Promise<number[]> {
    const seqs: number[] = [];
    for (const deadline = performance.now() + patienceMs; performance.now() < deadline && (seqs.at(-1) ?? 0) < until; ) {
      const last = seqs.at(-1);
      const answer = await this.once(`/jobs/${jobId}/events`, {
        headers: { accept: 'text/event-stream', ...(last === undefined ? {} : { 'last-event-id': String(last) }) },
      });
      for (const [, seq] of (answer?.body.toString('utf8') ?? '').matchAll(/^id: ?(\d+)$/gm)) seqs.push(Number(seq));
    }
    return seqs;
  }
}
