import { expect, test } from 'vitest';
import { terminalLine } from './service-log.js';

test('only warnings and worse reach the terminal, with their cause', () => {
  expect(terminalLine('{"level":30,"msg":"request"}')).toBeNull();
  expect(terminalLine('{"level":40,"msg":"slow"}')).toBe('slow');
  expect(terminalLine('{"level":50,"msg":"failed","err":{"message":"disk full"}}')).toBe('failed: disk full');
  expect(terminalLine('    at stack (file.js:1:1)')).toBe('    at stack (file.js:1:1)');
  expect(terminalLine('{broken')).toBe('{broken');
  expect(terminalLine('  ')).toBeNull();
});
