import type { ToTrainer } from '@rowsmith/contracts';

export type StopReason = Extract<ToTrainer, { type: 'stop' }>['reason'];

/** What the worker asked for, kept until the next place where the attempt can stop. The first reason stays, but a cancel replaces any other. */
export class StopRequest {
  readonly #controller = new AbortController();
  #reason: StopReason | null = null;

  get signal(): AbortSignal {
    return this.#controller.signal;
  }
  get reason(): StopReason | null {
    return this.#reason;
  }

  request(reason: StopReason): void {
    if (this.#reason === null || reason === 'cancel') this.#reason = reason;
    this.#controller.abort();
  }
}

/** Thrown at the places between phases where a stop request is honoured before training has begun. */
export class Stopped extends Error {
  override readonly name = 'Stopped';
}

/** Lets waiting messages arrive first: TensorFlow's calls block the event loop. */
export async function stopRequested(stop: StopRequest): Promise<boolean> {
  await new Promise<void>((resolve) => setImmediate(resolve));
  return stop.signal.aborted;
}

/** Throws Stopped. */
export async function stopHere(stop: StopRequest): Promise<void> {
  if (await stopRequested(stop)) throw new Stopped('stopped between phases');
}
