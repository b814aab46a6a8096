import type { MetricPoint } from '@rowsmith/contracts';

/** Collects points so that fast steps cost one statement for many. `flush` is called with `delayMs` after the first point at the latest. */
export class MetricBatch {
  #points: MetricPoint[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly flush: () => void,
    private readonly delayMs: number,
  ) {}

  add(point: MetricPoint): void {
    this.#points.push(point);
    this.#timer ??= setTimeout(this.flush, this.delayMs);
  }

  /** All points since the last call. */
  take(): readonly MetricPoint[] {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    return this.#points.splice(0);
  }
}
