/**
 * An HTTP proxy that answers 503 to a share of the requests, or loses answers after the server has done what was asked, and passes the rest on untouched: what
 * an overloaded object store does.
 */
import { createServer, request } from 'node:http';

export interface RefusingHttp {
  readonly port: number;
  /** Share of requests that are refused, 0 to 1. `random` gives numbers in [0, 1). */
  refuse(share: number, random: () => number): void;
  readonly refused: number;
  /** Of the requests that are passed on, the answer to every so-manyth does not come back; 0: all do. */
  loseEvery(passed: number): void;
  readonly lost: number;
  stop(): Promise<void>;
}

const body =
  '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>';

export async function startRefusingHttp(targetPort: number): Promise<RefusingHttp> {
  let share = 0;
  let random = () => 1;
  let refused = 0;
  let loseEvery = 0;
  let passedOn = 0;
  let lost = 0;
  const server = createServer((incoming, answer) => {
    if (share > 0 && random() < share) {
      refused += 1;
      incoming.resume();
      answer.writeHead(503, { 'content-type': 'application/xml', 'content-length': Buffer.byteLength(body) });
      answer.end(incoming.method === 'HEAD' ? undefined : body);
      return;
    }
    passedOn += 1;
    const loses = loseEvery > 0 && passedOn % loseEvery === 0;
    // Host and all other headers as they came: S3's signature covers them.
    const passed = request(
      { host: '127.0.0.1', port: targetPort, method: incoming.method, path: incoming.url, headers: incoming.rawHeaders },
      (reply) => {
        if (loses) {
          // Heard to its end, so that the server has done all of it.
          reply.resume().once('close', () => {
            lost += 1;
            answer.destroy();
          });
          return;
        }
        answer.writeHead(reply.statusCode ?? 502, reply.rawHeaders);
        reply.pipe(answer);
        reply.on('error', () => answer.destroy());
      },
    );
    passed.on('error', () => answer.destroy());
    answer.on('close', () => passed.destroy());
    incoming.on('error', () => passed.destroy());
    incoming.pipe(passed);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    refuse(newShare, newRandom) {
      share = newShare;
      random = newRandom;
    },
    get refused() {
      return refused;
    },
    loseEvery(passed) {
      loseEvery = passed;
    },
    get lost() {
      return lost;
    },
    stop: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}
