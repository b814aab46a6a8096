import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { ByteSource } from './byte-source.js';
import { ModelError } from './errors.js';
import { readGgufHeader } from './gguf/header.js';
import { openSafetensors } from './safetensors/read.js';
import { chatTemplate, loadChatTemplate } from './text/chat-template.js';
import { loadTokenizer } from './text/tokenizer.js';

const corpus = fileURLToPath(new URL('../fixtures/hostile/', import.meta.url));
const expected = JSON.parse(readFileSync(join(corpus, 'expected.json'), 'utf8')) as Record<string, string>;
const dir = mkdtempSync(join(tmpdir(), 'hf-hostile-'));
afterAll(() => rmSync(dir, { recursive: true }));

const messages = [{ role: 'user', content: 'hello' }];
const readers: Readonly<Record<string, (file: string) => Promise<unknown>>> = {
  async safetensors(file) {
    await (await openSafetensors(file)).close();
  },
  async gguf(file) {
    const source = await ByteSource.open(file, 'hostile');
    try {
      await readGgufHeader(source);
    } finally {
      await source.close();
    }
  },
  async tokenizer(file) {
    writeFileSync(join(dir, 'tokenizer.json'), readFileSync(file));
    await loadTokenizer(dir);
  },
  async template(file) {
    return chatTemplate(readFileSync(file, 'utf8'), {}, []).render(messages, {});
  },
};

describe('files from strangers are refused, by name, in a process that goes on', () => {
  for (const [name, code] of Object.entries(expected)) {
    it(name, async () => {
      const reader = readers[name.split('/')[0] ?? ''];
      const refusal: unknown = await reader?.(join(corpus, name)).then(
        (text) => `accepted: ${String(text).slice(0, 200)}`,
        (error: unknown) => error,
      );
      expect(refusal).toBeInstanceOf(ModelError);
      expect((refusal as ModelError).code).toBe(code);
      expect((refusal as ModelError).message.length).toBeLessThan(1_000);
      expect((refusal as ModelError).message).not.toMatch(/root:x:0/);
    }, 60_000);
  }

  it('no template has left anything behind', () => {
    expect(Object.keys(Object.prototype)).toEqual([]);
    expect(chatTemplate('{{ {}.polluted is defined }}', {}, []).render(messages, {})).toBe('False');
    // Names of this process mean nothing to a template.
    for (const name of ['process', 'globalThis', 'global', 'require', 'module', 'Function', 'console'])
      expect(chatTemplate(`{{ ${name} is defined }}{{ ${name} }}`, {}, []).render(messages, {})).toBe('False');
  });

  it('tokenizer files of more than 128 MiB are refused before they are read', async () => {
    writeFileSync(join(dir, 'tokenizer.json'), '');
    // A hole: it takes no space on the disk.
    truncateSync(join(dir, 'tokenizer.json'), 2 ** 30);
    writeFileSync(join(dir, 'tokenizer_config.json'), JSON.stringify({ chat_template: 'x' }));
    await expect(loadTokenizer(dir)).rejects.toThrow(/tokenizer\.json: is longer than 134217728 bytes/);
    await expect(loadChatTemplate(dir)).rejects.toThrow(/tokenizer\.json: .*is longer than 134217728 bytes/);
  });
});
