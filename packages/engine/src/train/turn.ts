/**
 * Gives the event loop one turn, then tells whether the signal is aborted. TensorFlow's calls block the loop: without the turn no message
 * that could abort would ever arrive.
 */
export async function aborted(signal: AbortSignal | undefined): Promise<boolean> {
  await new Promise<void>((resolve) => setImmediate(resolve));
  return signal?.aborted ?? false;
}
