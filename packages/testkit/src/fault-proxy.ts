/** A TCP proxy that breaks connections where a test says so. */
import { connect, createServer, type Socket } from 'node:net';

export interface FaultProxy {
  readonly port: number;
  /** The next answer is cut after this many of its bytes, once; 0 = the request arrives and nothing of the answer comes back. */
  cutNextAnswerAfter(bytes: number): void;
  /** How many answers were cut. */
  readonly cuts: number;
  stop(): Promise<void>;
}

/** `port` 0 takes a free one. */
export async function startFaultProxy(targetPort: number, port = 0): Promise<FaultProxy> {
  let cutAfter: number | null = null;
  let cuts = 0;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const target = connect(targetPort, '127.0.0.1');
    const both = [client, target];
    const end = () => {
      for (const socket of both) socket.destroy();
    };
    for (const socket of both) {
      sockets.add(socket);
      socket.on('error', end);
      socket.on('close', () => {
        sockets.delete(socket);
        end();
      });
    }
    client.pipe(target);
    target.on('data', (chunk: Buffer) => {
      if (cutAfter === null || chunk.byteLength < cutAfter) {
        if (cutAfter !== null) cutAfter -= chunk.byteLength;
        client.write(chunk);
        return;
      }
      const passed = chunk.subarray(0, cutAfter);
      cutAfter = null;
      cuts += 1;
      if (passed.byteLength === 0) end();
      else client.write(passed, end);
    });
  });
  await new Promise<void>((listening) => server.listen(port, '127.0.0.1', listening));
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    cutNextAnswerAfter(bytes) {
      cutAfter = bytes;
    },
    get cuts() {
      return cuts;
    },
    stop: () =>
      new Promise((closed) => {
        server.close(() => closed());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
