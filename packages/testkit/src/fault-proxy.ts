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
  /** Nothing passes, either way, while it is on; connections stay open and are taken. Afterwards all of it passes. */
  silence(silent: boolean): void;
  stop(): Promise<void>;
}

/** `port` 0 takes a free one. */
export async function startFaultProxy(targetPort: number, port = 0): Promise<FaultProxy> {
  let cutAfter: number | null = null;
  let cuts = 0;
  let refusing = false;
  let delayMs = 0;
  let silence = Promise.resolve();
  let endSilence: (() => void) | null = null;
  const pairs = new Set<() => void>();

  /** Reads on only when what was read has passed, so that the order stays and memory is bounded. */
  const forward = (from: Socket, pass: (chunk: Buffer) => void, end: () => void) => {
    let last = Promise.resolve();
    const after = async (ready: Promise<void>, ms: number) => {
      await ready;
      if (ms > 0) await new Promise((later) => setTimeout(later, ms));
    };
    from.on('data', (chunk: Buffer) => {
      if (delayMs === 0 && endSilence === null && !from.isPaused()) return pass(chunk);
      from.pause();
      last = last.then(async () => {
        await after(silence, delayMs);
        pass(chunk);
        from.resume();
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
    forward(client, write(target, client), () => target.end());
    const answer = write(client, target);
    forward(
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
