/** What every object store must do; each driver's test runs it against the real thing. */
import type { ObjectStore } from '@rowsmith/core';
import { describe, expect, test } from 'vitest';

const bytes = (text: string) => new TextEncoder().encode(text);
const text = async (body: AsyncIterable<Uint8Array> | null) => {
  if (body === null) return null;
  const parts: Uint8Array[] = [];
  for await (const part of body) parts.push(part);
  return Buffer.concat(parts).toString('utf8');
};
async function* chunks(...parts: string[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield bytes(part);
}

export function objectStoreContract(open: () => Promise<ObjectStore>): void {
  describe('object store contract', () => {
    test('what is put is read back, whole, in parts, and with its hash', async () => {
      const store = await open();
      const stored = await store.put('a/b.txt', chunks('hello ', 'world'));
      expect(stored).toEqual({ bytes: 11, sha256: 'b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9' });
      expect(await text(await store.get('a/b.txt'))).toBe('hello world');
      expect(await text(await store.get('a/b.txt', { start: 6, end: 8 }))).toBe('wor');
      expect(Buffer.from((await store.getBytes('a/b.txt')) ?? []).toString()).toBe('hello world');
      expect(await store.head('a/b.txt')).toEqual({ key: 'a/b.txt', bytes: 11, modifiedAt: expect.any(Date) });
      await store.put('a/b.txt', bytes(''));
      expect(await text(await store.get('a/b.txt'))).toBe('');
    });

    test('what is not there is null, and deleting it is no error', async () => {
      const store = await open();
      expect([await store.get('no/such'), await store.getBytes('no/such'), await store.head('no/such')]).toEqual([null, null, null]);
      await store.delete('no/such');
      await store.put('a', bytes('1'));
      await store.delete('a');
      expect(await store.head('a')).toBeNull();
      expect(await store.head('a/b')).toBeNull();
    });

    test('a body that fails leaves nothing, and an older object as it was', async () => {
      const store = await open();
      await store.put('x', bytes('old'));
      const failing = async function* () {
        yield bytes('half');
        throw new Error('the client hung up');
      };
      await expect(store.put('x', failing())).rejects.toThrow('hung up');
      await expect(store.put('new', failing())).rejects.toThrow('hung up');
      expect(await text(await store.get('x'))).toBe('old');
      const keys: string[] = [];
      for await (const { key } of store.list('')) keys.push(key);
      expect(keys).toEqual(['x']);
    });

    test('of many writers at once one is first', async () => {
      const store = await open();
      const results = await Promise.all(Array.from({ length: 20 }, (_, i) => store.putIfAbsent('race/one', bytes(`writer ${i}`))));
      expect(results.filter((r) => r === 'created')).toHaveLength(1);
      expect(await text(await store.get('race/one'))).toBe(`writer ${results.indexOf('created')}`);
    });

    test('lists by whole names under a prefix, with sizes', async () => {
      const store = await open();
      for (const key of ['j/1/a', 'j/1/b', 'j/10/a', 'k']) await store.put(key, bytes(key));
      const listed: string[] = [];
      for await (const { key, bytes: size } of store.list('j/1')) listed.push(`${key} ${size}`);
      expect(listed).toEqual(['j/1/a 5', 'j/1/b 5']);
    });

    test('ages are told by the store, not by this machine', async () => {
      const store = await open();
      const before = await store.now();
      await store.put('young', bytes('1'));
      const stat = await store.head('young');
      const after = await store.now();
      // Stores keep whole seconds.
      expect(stat?.modifiedAt.getTime()).toBeGreaterThanOrEqual(before.getTime() - 1_000);
      expect(stat?.modifiedAt.getTime()).toBeLessThanOrEqual(after.getTime() + 1_000);
      const keys: string[] = [];
      for await (const { key } of store.list('')) keys.push(key);
      expect(keys).toEqual(['young']);
    });

    test('keys that could leave the store are refused', async () => {
      const store = await open();
      for (const key of ['', '/a', 'a/', 'a//b', '../a', 'a/../b', 'a/./b', 'a\\b', 'a\0b', 'a b', '.tmp-1', 'x'.repeat(2000)]) {
        await expect(store.put(key, bytes('x')), JSON.stringify(key)).rejects.toThrow(/not an object key/);
      }
    });
  });
}
