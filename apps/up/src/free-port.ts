import { createServer } from 'node:net';

/** A port that was free a moment ago, or `wanted` if that is free. Throws with the repair when `wanted` is taken. */
export function choosePort(host: string, wanted: number): Promise<number> {
  return new Promise((chosen, refused) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE')
        refused(new Error(`Port ${wanted} on ${host} is in use. Choose another: --port <n> (0 = any free one).`));
      else if (error.code === 'EACCES') refused(new Error(`Port ${wanted} needs root. Choose one above 1023: --port <n>.`));
      else refused(new Error(`Cannot listen on ${host}:${wanted}: ${error.message}. Check --host.`));
    });
    probe.listen(wanted, host, () => {
      const address = probe.address();
      probe.close(() => chosen(typeof address === 'object' && address ? address.port : wanted));
    });
  });
}
