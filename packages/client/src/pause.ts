/** Waits; rejects with the abort's reason. */
export const pause = (ms: number, signal: AbortSignal | undefined) =>
  new Promise<void>((next, stop) => {
    if (signal?.aborted) return stop(signal.reason);
    const timer = setTimeout(done, ms);
    function done() {
      signal?.removeEventListener('abort', aborted);
      next();
    }
    function aborted() {
      clearTimeout(timer);
      stop(signal?.reason);
    }
    signal?.addEventListener('abort', aborted, { once: true });
  });
