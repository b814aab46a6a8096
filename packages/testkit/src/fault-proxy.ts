/** A TCP proxy that breaks connections where a test says so. */
import { connect, createServer, type Socket } from 'node:net';

export interface FaultProxy {
  readonly port: number;
  /** The next answer is cut after this many of its bytes, once; 0 = the request arrives and nothing of the answer comes back. */
  cutNextAnswerAfter(bytes: number): void;
  /** How many answers were cut. */
  readonly cuts: number;
  /** Ends every connection at once. Returns how many there were. */
  cutAll(): number;
  /** Refuses new connections until told otherwise; those that are open stay. */
  refuse(refusing: boolean): void;
  /** What passes from now on, both ways, waits this long first; 0 = at once. Order is kept. */
  delay(ms: number): void;
  /**
   * A long, thin line, all connections together: each way a byte takes `latencyMs`, and `bytesPerSecond` pass. Other than with `delay` chunks are on the
   * way at once. null: as fast as can be.
   */
  slow(line: SlowLine | null): void;
  /** Nothing passes, either way, while it is on; connections stay open and are taken. Afterwards all of it passes. */
  silence(silent: boolean): void;
  stop(): Promise<void>;
}

export interface SlowLine {
  readonly latencyMs: number;
  readonly bytesPerSecond: number;
}

/** On the way of one connection at a time; beyond it nothing more is read. */
const mostOnTheWay = 1 << 20;

/** `port` 0 takes a free one. */
export async function startFaultProxy(targetPort: number, port = 0): Promise<FaultProxy> {
  let cutAfter: number | null = null;
  let cuts = 0;
  let refusing = false;
  let delayMs = 0;
  let silence = Promise.resolve();
  let endSilence: (() => void) | null = null;
  let line: SlowLine | null = null;
  const pairs = new Set<() => void>();

  /** One way through the proxy. */
  class Way {
    /** When the line has taken what was given to it. */
    #takenAt = 0;

    /** When the last byte of a chunk arrives, on the slow line. */
    arrival(bytes: number, { latencyMs, bytesPerSecond }: SlowLine): number {
      this.#takenAt = Math.max(this.#takenAt, performance.now()) + (1_000 * bytes) / bytesPerSecond;
      return this.#takenAt + latencyMs;
    }
  }
  const [there, back] = [new Way(), new Way()];

  /** In order, and with bounded memory: beyond what may be on the way it reads on when something has passed. */
  const forward = (way: Way, from: Socket, pass: (chunk: Buffer) => void, end: () => void) => {
    let last = Promise.resolve();
    let onTheWay = 0;
    const after = async (ready: Promise<void>, ms: number) => {
      await ready;
      if (ms > 0) await new Promise((later) => setTimeout(later, ms));
    };
    from.on('data', (chunk: Buffer) => {
      if (delayMs === 0 && endSilence === null && line === null && onTheWay === 0 && !from.isPaused()) return pass(chunk);
      const arrival = line === null ? null : way.arrival(chunk.byteLength, line);
      onTheWay += chunk.byteLength;
      if (arrival === null || onTheWay > mostOnTheWay) from.pause();
      last = last.then(async () => {
        await after(silence, arrival === null ? delayMs : arrival - performance.now());
        onTheWay -= chunk.byteLength;
        // What is written may ask for a pause, so reading goes on first.
        from.resume();
        pass(chunk);
      });
    });
    from.on('end', () => {
      last = last.then(() => silence).then(end);
    });
  };

  const server = createServer({ allowHalfOpen: true }, (client) => {
    if (refusing) {
      client.on('error', () => undefined);
      client.destroy();
      return;
    }
    const target = connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true });
    const end = () => {
      pairs.delete(end);
      client.destroy();
      target.destroy();
    };
    pairs.add(end);
    for (const socket of [client, target]) {
      socket.on('error', end);
      socket.on('close', end);
    }
    const write = (to: Socket, from: Socket) => (chunk: Buffer) => {
      if (to.destroyed || to.write(chunk)) return;
      from.pause();
      to.once('drain', () => from.resume());
    };
    forward(there, client, write(target, client), () => target.end());
    const answer = write(client, target);
    forward(
      back,
      target,
      (chunk) => {
        if (cutAfter === null || chunk.byteLength < cutAfter) {
          if (cutAfter !== null) cutAfter -= chunk.byteLength;
          return answer(chunk);
        }
        const passed = chunk.subarray(0, cutAfter);
        cutAfter = null;
        cuts += 1;
        if (passed.byteLength === 0) end();
        else client.write(passed, end);
      },
      () => client.end(),
    );
  });
  const cutAll = () => {
    const count = pairs.size;
    for (const end of [...pairs]) end();
    return count;
  };
  await new Promise<void>((listening, failed) => {
    server.once('error', failed);
    server.listen(port, '127.0.0.1', listening);
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    cutNextAnswerAfter(bytes) {
      cutAfter = bytes;
    },
    get cuts() {
      return cuts;
    },
    cutAll,
    refuse(on) {
      refusing = on;
    },
    delay(ms) {
      delayMs = ms;
    },
    slow(next) {
      line = next;
    },
    silence(on) {
      endSilence?.();
      endSilence = null;
      if (on)
        silence = new Promise((end) => {
          endSilence = end;
        });
    },
    stop: () =>
      new Promise((closed) => {
        endSilence?.();
        server.close(() => closed());
        cutAll();
      }),
  };
}
