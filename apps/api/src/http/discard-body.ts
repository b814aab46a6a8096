/**
 * Refusing a request whose body is still arriving. Closing at once would reset the connection and the client would never see the reason,
 * so what arrives is thrown away for a moment; a sender that does not stop by then is cut off.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';

const drainMs = 3_000;

export function discardBody(request: FastifyRequest, reply: FastifyReply): void {
  const { raw } = request;
  if (raw.readableEnded || raw.destroyed) return;
  reply.header('connection', 'close');
  const timer = setTimeout(() => raw.destroy(), drainMs);
  raw.once('close', () => clearTimeout(timer));
  raw.resume();
}
