import { type Logger, pino, stdTimeFunctions } from 'pino';
import { currentTraceId } from './tracing.js';
import { withoutPasswords } from './without-passwords.js';

/** Where secrets live in what is logged. Censored in the factory, so that no caller can forget it. */
const secretPaths = [
  'authorization',
  'cookie',
  'apiKey',
  'api_key',
  'password',
  'pepper',
  'secret',
  'token',
  'databaseUrl',
  'redisUrl',
  'env',
];
const redact = secretPaths
  .flatMap((name) => [name, `*.${name}`, `*.headers.${name}`, `headers.${name}`])
  .concat('headers["api-key"]', '*.headers["api-key"]');

function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { name, message, stack } = error;
  const code = 'code' in error ? error.code : undefined;
  return {
    type: name,
    message: withoutPasswords(message),
    code,
    stack: stack && withoutPasswords(stack),
    ...(error.cause ? { cause: serializeError(error.cause) } : {}),
  };
}

export type { Logger } from 'pino';

/** JSON lines on stdout, one per unit of work: `op`, ids, durations, outcome. */
export function createLogger(service: string, level = 'info', destination?: { write(line: string): void }): Logger {
  const options = {
    level,
    base: { service },
    timestamp: stdTimeFunctions.isoTime,
    redact: { paths: redact, censor: '[redacted]' },
    serializers: { err: serializeError },
    // From a line to its trace.
    mixin: () => {
      const traceId = currentTraceId();
      return traceId === undefined ? {} : { traceId };
    },
  };
  return destination ? pino(options, destination) : pino(options);
}
