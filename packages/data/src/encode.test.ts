import { readFile } from 'node:fs/promises';
import { chatTemplate, loadChatTemplate, loadTokenizer, modelStore, resolveModelDir, tokenizerFromJson } from '@rowsmith/hf';
import { expect, test } from 'vitest';
import { type EncodeDatasetOptions, encodeDataset } from './encode.js';

interface Fixture {
  readonly eos: number;
  readonly chat: readonly {
    readonly messages: readonly { readonly role: string; readonly content: string }[];
    ids: number[];
    mask: number[];
  }[];
  readonly prompt_completion: readonly { readonly prompt: string; readonly completion: string; ids: number[]; mask: number[] }[];
  readonly text: readonly { readonly text: string; readonly ids: number[] }[];
}
const fixture = JSON.parse(await readFile(new URL('../fixtures/encoding-fixture.json', import.meta.url), 'utf8')) as Fixture;
const dir = await resolveModelDir(modelStore(process.env), 'smollm2-135m-instruct');
const base: EncodeDatasetOptions = {
  tokenizer: await loadTokenizer(dir),
  template: await loadChatTemplate(dir),
  maxSeqLength: 1024,
  trainOn: 'assistant',
  eosId: fixture.eos,
};

async function* jsonl(...rows: readonly unknown[]) {
  yield new TextEncoder().encode(rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
}
const encode = (rows: readonly unknown[], options: Partial<EncodeDatasetOptions> = {}) =>
  encodeDataset(jsonl(...rows), { ...base, ...options });
const masked = (ids: readonly number[], mask: readonly number[]) => ids.map((id, i) => (mask[i] === 1 ? id : -100));
const plain = (examples: readonly { ids: Int32Array; labels: Int32Array }[]) =>
  examples.map(({ ids, labels }) => ({ ids: [...ids], labels: [...labels] }));
const chats = fixture.chat.map(({ messages }) => ({ messages }));
const turn = (role: string, content: string, more = {}) => ({ role, content, ...more });

test('chat: ids and mask are those of transformers, contents that begin with blanks or newlines among them', async () => {
  const { examples, counts, dropped } = await encode(chats);
  expect(plain(examples)).toEqual(fixture.chat.map(({ ids, mask }) => ({ ids, labels: masked(ids, mask) })));
  const sum = (lists: readonly (readonly number[])[]) => lists.flat().length;
  expect(counts).toEqual({
    rows: chats.length,
    examples: chats.length,
    skipped: 0,
    truncated: 0,
    dropped: 0,
    tokens: sum(fixture.chat.map(({ ids }) => ids)),
    labelledTokens: sum(fixture.chat.map(({ mask }) => mask.filter((m) => m === 1))),
  });
  expect(dropped).toEqual([]);
});

test('prompt and completion: encoded in one piece, a token over the seam counts, so does eos', async () => {
  const { examples } = await encode(fixture.prompt_completion.map(({ prompt, completion }) => ({ prompt, completion })));
  expect(plain(examples)).toEqual(fixture.prompt_completion.map(({ ids, mask }) => ({ ids, labels: masked(ids, mask) })));
});

test('text: every token counts, the first has nothing that predicts it', async () => {
  const { examples, counts } = await encode(fixture.text.map(({ text }) => ({ text })));
  expect(plain(examples)).toEqual(fixture.text.map(({ ids }) => ({ ids, labels: ids })));
  expect(counts.labelledTokens).toBe(counts.tokens - fixture.text.length);
});

test('oracle: two tokens of prompt after the beginning, two of answer, end -> three terms of loss', async () => {
  // ids [B,p,p,a,a,E] -> labels [-100,-100,-100,a,a,E].
  const template = chatTemplate(
    "{{ '<|im_start|>' + messages[0]['content'] }}{% for m in messages[1:] %}{{ m['content'] + '<|im_end|>' }}{% endfor %}",
    {},
    ['<|im_start|>', '<|im_end|>'],
  );
  const { examples, counts } = await encode([{ messages: [turn('user', 'go on'), turn('assistant', '42')] }], { template });
  const id = (text: string) => base.tokenizer.tokenToId(text);
  const ids = [id('<|im_start|>'), id('go'), id('Ġon'), id('4'), id('2'), id('<|im_end|>')];
  expect(plain(examples)).toEqual([{ ids, labels: [-100, -100, -100, ids[3], ids[4], ids[5]] }]);
  expect(counts.labelledTokens).toBe(3);
});

test('train_on and weight choose the answers', async () => {
  const messages = [
    turn('user', 'q'),
    turn('assistant', 'one'),
    turn('user', 'q'),
    turn('assistant', 'two'),
    turn('user', 'q'),
    turn('assistant', 'three'),
  ];
  const learnt = async (list: readonly unknown[], trainOn: EncodeDatasetOptions['trainOn']) => {
    const { examples } = await encode([{ messages: list }], { trainOn });
    const labels = [...(examples[0]?.labels ?? [])].filter((label) => label !== -100);
    return { text: await base.tokenizer.decode(labels, { keepSpecialTokens: true }), whole: labels.length === examples[0]?.ids.length };
  };
  const off = messages.map((m, i) => (i === 1 || i === 5 ? { ...m, weight: 0 } : m));
  expect(await learnt(messages, 'assistant')).toEqual({ text: 'one<|im_end|>two<|im_end|>three<|im_end|>', whole: false });
  expect(await learnt(messages, 'last')).toEqual({ text: 'three<|im_end|>', whole: false });
  expect(await learnt(off, 'assistant')).toEqual({ text: 'two<|im_end|>', whole: false });
  expect(await learnt(off, 'last')).toEqual({ text: 'two<|im_end|>', whole: false });
  expect((await learnt(messages, 'all')).whole).toBe(true);
});

test('a template that prints earlier answers otherwise gives one example an answer', async () => {
  const template = chatTemplate(
    "{% for m in messages %}{{ m['role'] + ':' }}{% if m['role'] == 'assistant' and not loop.last %}(short){% else %}{{ m['content'] }}{% endif %}<|im_end|>{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}",
    {},
    ['<|im_end|>'],
  );
  const { examples, counts } = await encode(
    [{ messages: [turn('user', 'q'), turn('assistant', 'one'), turn('user', 'r'), turn('assistant', 'two')] }],
    { template },
  );
  expect(counts).toMatchObject({ rows: 1, examples: 2 });
  expect(await Promise.all(examples.map(({ labels }) => base.tokenizer.decode(labels.filter((l) => l !== -100))))).toEqual(['one', 'two']);
});

test('long examples keep their left side; one without anything left to learn is named and left out', async () => {
  const [first, second] = fixture.chat as [Fixture['chat'][0], Fixture['chat'][0]];
  const from = first.mask.indexOf(1);
  const { examples, counts, dropped } = await encode([{ messages: first.messages }, { messages: second.messages }], { maxSeqLength: from });
  expect(counts).toMatchObject({ rows: 2, examples: 1, truncated: 2, dropped: 1, tokens: from });
  expect(plain(examples)).toEqual([{ ids: second.ids.slice(0, from), labels: masked(second.ids, second.mask).slice(0, from) }]);
  expect(dropped).toEqual([
    { line: 1, reason: `no token to learn is left of ${first.ids.length} after cutting to ${from}; raise max_seq_length` },
  ]);
});

test('what cannot be encoded is refused with its line', async () => {
  const fine = { messages: [turn('user', 'q'), turn('assistant', 'a')] };
  const control = { messages: [turn('user', 'q'), turn('assistant', 'a<|im_end|>b')] };
  await expect(encode([fine, control])).rejects.toMatchObject({
    name: 'DataError',
    code: 'special_token',
    line: 2,
    message: 'line 2: messages[1].content holds "<|im_end|>", which the tokenizer reads as a control token; take it out',
  });
  const named = { messages: [turn('user', 'q', { name: '<|im_start|>' }), turn('assistant', 'a')] };
  await expect(encode([named])).rejects.toMatchObject({ code: 'special_token', line: 1, message: expect.stringContaining('[0].name') });
  await expect(encode([fine, { messages: [] }])).rejects.toMatchObject({ name: 'DataError', code: 'invalid_line', line: 2 });
  await expect(encode([fine, { text: 'x' }])).rejects.toMatchObject({ code: 'invalid_line', line: 2 });
  await expect(encode([fine], { template: null })).rejects.toMatchObject({ code: 'refused_by_template', line: 1 });
  const strict = chatTemplate("{{ raise_exception('roles must alternate') }}", {}, []);
  await expect(encode([fine], { template: strict })).rejects.toMatchObject({
    code: 'refused_by_template',
    line: 1,
    message: expect.stringContaining('roles must alternate'),
  });
});

test('a special token that is no part of the template is encoded as that token, as transformers does', async () => {
  const { examples } = await encode([{ messages: [turn('user', 'usage?'), turn('assistant', 'cat <filename>')] }]);
  const labels = [...(examples[0]?.labels ?? [])].filter((label) => label !== -100);
  const id = (token: string) => base.tokenizer.tokenToId(token);
  expect(labels).toEqual([id('cat'), id('Ġ'), id('<filename>'), fixture.eos]);
});

test('long rows are encoded in smaller batches', async () => {
  const rows = Array.from({ length: 3 }, (_, i) => ({ text: `${i} ${'word '.repeat(110_000)}` }));
  const sizes: number[] = [];
  const observed: EncodeDatasetOptions['tokenizer'] = {
    ...base.tokenizer,
    encodeBatch(texts, options) {
      sizes.push(texts.length);
      return base.tokenizer.encodeBatch(texts, options);
    },
  };
  const { examples } = await encode(rows, { tokenizer: observed });
  expect(sizes).toEqual([2, 1]);
  expect(examples.map(({ ids }) => ids[0])).toEqual(['0', '1', '2'].map((digit) => base.tokenizer.tokenToId(digit)));
});

test('rows over several batches keep their order', async () => {
  const rows = Array.from({ length: 600 }, (_, i) => ({ text: `row ${i}` }));
  const { examples } = await encode(rows);
  const back = await Promise.all(examples.map(({ ids }) => base.tokenizer.decode(ids)));
  expect(back).toEqual(rows.map(({ text }) => text));
});

test('a tokenizer that adds its own beginning and end: plain texts get each once, chats neither', async () => {
  const json = JSON.parse(await readFile(`${dir}/tokenizer.json`, 'utf8')) as Record<string, unknown>;
  const special = (id: string, token: number) => ({ [id]: { id, ids: [token], tokens: [id] } });
  json['post_processor'] = {
    type: 'TemplateProcessing',
    single: [
      { SpecialToken: { id: '<|im_start|>', type_id: 0 } },
      { Sequence: { id: 'A', type_id: 0 } },
      { SpecialToken: { id: '<|im_end|>', type_id: 0 } },
    ],
    pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
    special_tokens: { ...special('<|im_start|>', 1), ...special('<|im_end|>', 2) },
  };
  const tokenizer = tokenizerFromJson(JSON.stringify(json));
  const [pair] = fixture.prompt_completion as [Fixture['prompt_completion'][0]];
  const { examples } = await encode([{ prompt: pair.prompt, completion: pair.completion }], { tokenizer });
  expect(plain(examples)).toEqual([{ ids: [1, ...pair.ids], labels: [-100, ...masked(pair.ids, pair.mask)] }]);
  expect(plain((await encode(chats, { tokenizer })).examples)).toEqual(plain((await encode(chats)).examples));
});
