/**
 * Two readers of one byte stream, in step: a chunk is pulled when the slower reader has taken the last one, so memory stays constant.
 * A reader that stops early no longer holds the other back. A failure of the source reaches both.
 */
export function tee(source: AsyncIterable<Uint8Array>): readonly [AsyncIterable<Uint8Array>, AsyncIterable<Uint8Array>] {
  const iterator = source[Symbol.asyncIterator]();
  type Step = Promise<IteratorResult<Uint8Array>>;
  let current: Step | null = null;
  const taken = [0, 0];
  const stopped = [false, false];
  let pulled = 0;
  let release: (() => void) | null = null;

  const advance = (me: number, other: number): Step => {
    const mine = taken[me] ?? 0;
    if (current !== null && mine === pulled - 1) {
      taken[me] = mine + 1;
      release?.();
      return current;
    }
    const otherIsBehind = !stopped[other] && (taken[other] ?? 0) < pulled;
    if (otherIsBehind) {
      return new Promise<void>((next) => {
        release = next;
      }).then(() => advance(me, other));
    }
    pulled += 1;
    taken[me] = pulled;
    current = iterator.next();
    // The other reader may come for it later; a failure must not count as unhandled until then.
    current.catch(() => undefined);
    return current;
  };
  const reader = (me: number, other: number): AsyncIterable<Uint8Array> => ({
    [Symbol.asyncIterator]: () => ({
      next: () => advance(me, other),
      async return() {
        stopped[me] = true;
        release?.();
        return { done: true, value: undefined };
      },
    }),
  });
  return [reader(0, 1), reader(1, 0)];
}
