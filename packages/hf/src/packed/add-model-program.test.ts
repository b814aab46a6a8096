import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addModelProgram } from './add-model-program.js';

const gguf = fileURLToPath(new URL('../../fixtures/tiny-llama.gguf', import.meta.url));
let cache: string;
beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), 'hf-program-'));
});
afterEach(() => rmSync(cache, { recursive: true }));

async function run(...args: string[]) {
  let out = '';
  let err = '';
  const code = await addModelProgram(args, {
    env: { ROWSMITH_CACHE: cache, HF_ENDPOINT: 'http://127.0.0.1:1' },
    out: { write: (text) => (out += text) },
    err: { write: (text) => (err += text) },
    now: () => 1,
  });
  return { code, out, err };
}

describe('models add', () => {
  it('packs into the default store and says what it did', async () => {
    const first = await run(gguf);
    expect(first).toMatchObject({ code: 0, err: 'hashing 0 MiB\npacking 0 MiB\n' });
    expect(first.out).toMatch(/^tiny-llama added: 0\.0 M parameters, base [0-9a-f]{12}, /);
    expect(existsSync(join(cache, 'models', 'tiny-llama', 'index.json'))).toBe(true);
    expect((await run(gguf)).out).toMatch(/^tiny-llama is already there: /);
  });

  it('prints one JSON line with --json', async () => {
    const { code, out, err } = await run(gguf, '--id', 'mine', '--store', join(cache, 'other'), '--json');
    expect([code, err]).toEqual([0, '']);
    expect(JSON.parse(out)).toMatchObject({ outcome: 'added', id: 'mine', dir: join(cache, 'other', 'mine') });
  });

  it('exits 2 on wrong usage', async () => {
    for (const args of [[], ['a', 'b'], ['a', '--no-such-option']])
      expect(await run(...args)).toMatchObject({ code: 2, err: expect.stringContaining('usage:') as string });
    expect(await run('--help')).toMatchObject({ code: 0, out: expect.stringContaining('usage:') as string });
  });

  it('exits 10 when the model is refused, and says why', async () => {
    const bad = join(cache, 'bad.gguf');
    writeFileSync(bad, 'GGML');
    expect(await run(bad)).toMatchObject({
      code: 10,
      err: expect.stringMatching(/cannot add .*bad\.gguf: bad\.gguf: header: the file ends inside|not a GGUF/) as string,
    });
    const { code, out } = await run('model.pth', '--json');
    expect([code, JSON.parse(out)]).toMatchObject([10, { error: { code: 'pickle_refused' } }]);
  });

  it('exits 20 when disk or network fail', async () => {
    expect(await run('org/name')).toMatchObject({ code: 20, err: expect.stringMatching(/cannot be asked about org\/name/) as string });
    const file = join(cache, 'file');
    writeFileSync(file, '');
    expect(await run(gguf, '--store', join(file, 'store'))).toMatchObject({ code: 20 });
  });
});
