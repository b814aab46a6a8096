import { expect, test } from 'vitest';
import { createLogger } from './logger.js';
import { withoutPasswords } from './without-passwords.js';

const logged = (write: (log: ReturnType<typeof createLogger>) => void): string => {
  let text = '';
  write(
    createLogger('test', 'info', {
      write: (line) => {
        text += line;
      },
    }),
  );
  return text;
};

test('secrets do not reach a log, wherever they stand', () => {
  const text = logged((log) => {
    log.info(
      {
        authorization: 'Bearer s3cret',
        req: { headers: { authorization: 's3cret', 'api-key': 's3cret' } },
        config: { databaseUrl: 's3cret', pepper: 's3cret' },
      },
      'm',
    );
    log.error(
      { err: new Error('connect postgresql://rowsmith:s3cret@127.0.0.1:5432/db failed', { cause: new Error('redis://u:s3cret@h') }) },
      'm',
    );
  });
  expect(text).not.toContain('s3cret');
  expect(text).toContain('postgresql://rowsmith:***@127.0.0.1:5432/db failed');
});

test('URLs without a password stay as they are', () => {
  expect(withoutPasswords('see http://127.0.0.1:8080/readyz')).toBe('see http://127.0.0.1:8080/readyz');
});
