/** Waits until the API answers 200 on /readyz: jobs can be taken. */
export async function waitUntilReady(url: string, signal: AbortSignal, everyMs = 100): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const answered = await fetch(`${url}/readyz`, { signal: AbortSignal.any([signal, AbortSignal.timeout(2_000)]) })
      .then((response) => response.ok)
      .catch(() => false);
    if (answered) return;
    await new Promise((next) => setTimeout(next, everyMs));
  }
}
