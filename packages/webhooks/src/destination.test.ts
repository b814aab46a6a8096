import { expect, test } from 'vitest';
import { checkUrl, DestinationError } from './destination.js';

const strict = { allowPrivate: false };

test.each([
  ['http://example.com/hook', 'must start with https://'],
  ['ftp://example.com', 'must start with https://'],
  ['not a url', 'not a URL'],
  ['https://user:secret@example.com/', 'user name or password'],
  ['https://example.com/#part', 'fragment'],
  ['https://example.com:8443/', 'port 8443'],
  ['https://127.0.0.1/', 'loopback'],
  ['https://2130706433/', 'loopback'],
  ['https://0x7f.1/', 'loopback'],
  ['https://127.1/', 'loopback'],
  ['https://[::1]/', 'loopback'],
  ['https://[::ffff:127.0.0.1]/', 'loopback'],
  ['https://10.1.2.3/', 'private'],
  ['https://172.16.0.1/', 'private'],
  ['https://192.168.1.1/', 'private'],
  ['https://169.254.169.254/latest/meta-data', 'linkLocal'],
  ['https://[fe80::1]/', 'linkLocal'],
  ['https://[fd00::1]/', 'uniqueLocal'],
  ['https://100.64.0.1/', 'carrierGradeNat'],
  ['https://0.0.0.0/', 'unspecified'],
  ['https://224.0.0.1/', 'multicast'],
  ['https://[64:ff9b::7f00:1]/', 'rfc6052'],
])('%s is refused', (url, reason) => {
  expect(() => checkUrl(url, strict)).toThrow(DestinationError);
  expect(() => checkUrl(url, strict)).toThrow(reason);
});

test('public https passes; the operator may open the rest, but never credentials in a URL', () => {
  expect(checkUrl('https://example.com/hook?x=1', strict).href).toBe('https://example.com/hook?x=1');
  expect(checkUrl('https://93.184.216.34/', strict).hostname).toBe('93.184.216.34');
  expect(checkUrl('http://127.0.0.1:8080/hook', { allowPrivate: true }).port).toBe('8080');
  expect(() => checkUrl('http://a:b@127.0.0.1/', { allowPrivate: true })).toThrow(DestinationError);
});
