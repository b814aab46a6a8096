import { type Logger, pino, stdTimeFunctions } from 'pino';

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

/** Passwords in URLs, wherever they stand in an error's text: `scheme://user:password@host`. */
export const withoutPasswords = (text: string): string => text.replace(/([a-z][a-z0-9+.-]*:\/\/[^\s:/@]*):[^\s@/]*@/gi, '$1:***@');

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
  };
  return destination ? pino(options, destination) : pino(options);
}
