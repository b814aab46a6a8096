/** An object store that is far away, thin, overloaded and forgetful, all at once. */
import type { FaultProxy, SlowLine } from '../fault-proxy.js';
import type { RefusingHttp } from '../refusing-http.js';

export interface PoorStore {
  /** Answers that did not arrive though the store had done what was asked. */
  readonly lost: number;
  readonly refused: number;
  heal(): void;
}

/** Of ten requests three are refused, never two in a row: a client that asks five times is not refused by chance. */
const draws = [0, 1, 1, 0, 1, 1, 1, 0, 1, 1];

/** `line` both ways, 503 for 30 % of the requests, and of the others the answer to every eighth lost. */
export function makePoor(proxy: FaultProxy, refusing: RefusingHttp, line: SlowLine): PoorStore {
  const [lostBefore, refusedBefore] = [refusing.lost, refusing.refused];
  let drawn = 0;
  proxy.slow(line);
  refusing.refuse(0.3, () => draws[drawn++ % draws.length] ?? 1);
  refusing.loseEvery(8);
  return {
    get lost() {
      return refusing.lost - lostBefore;
    },
    get refused() {
      return refusing.refused - refusedBefore;
    },
    heal() {
      proxy.slow(null);
      refusing.loseEvery(0);
      refusing.refuse(0, () => 1);
    },
  };
}
