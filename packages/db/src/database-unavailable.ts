/** Whether an error says that the database does not answer now, rather than that it refused what was asked. */

/** Of the operating system, on the way to the server. */
const onTheWay = [
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
];
/**
 * SQLSTATE of a server that goes, comes, or is full: 57P01 to 57P03 (shutdown, crash, starting up), 53100 (no space on its disk), 53200 (no memory),
 * 53300 (too many connections), 08xxx (connection).
 * Prisma's P1001, P1002, P1008, P1017 (not reached, timed out, closed), P2024 and P2028 (no connection, no transaction in time).
 */
const ofServer = /^(57P0[123]|53[123]00|08\w{3}|P10(01|02|08|17)|P2024|P2028)$/;
/** What Prisma's adapter makes of some of them, without a code. */
const ofAdapter = ['DatabaseNotReachable', 'ConnectionClosed', 'SocketTimeout', 'TooManyConnections'];
/** node-postgres and its pool give these no code. */
const ofDriver =
  /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Client was closed)/;
const deepest = 6;

/** Looks through the causes: Prisma wraps what the driver says. */
export function isDatabaseUnavailable(error: unknown, depth = 0): boolean {
  if (typeof error !== 'object' || error === null || depth > deepest) return false;
  const { code, originalCode, kind, message, cause, meta } = error as Partial<Record<string, unknown>>;
  for (const text of [code, originalCode]) if (typeof text === 'string' && (onTheWay.includes(text) || ofServer.test(text))) return true;
  if (typeof kind === 'string' && ofAdapter.includes(kind)) return true;
  if (typeof message === 'string' && ofDriver.test(message)) return true;
  if (isDatabaseUnavailable(cause, depth + 1)) return true;
  return typeof meta === 'object' && meta !== null && Object.values(meta).some((inner) => isDatabaseUnavailable(inner, depth + 1));
}
