import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ModelError } from '../errors.js';
import { modelStore, resolveModelDir } from '../packed/model-store.js';
import { renderWithSpans } from './assistant-spans.js';
import { type ChatMessage, chatTemplate, loadChatTemplate } from './chat-template.js';
import { loadTokenizer } from './tokenizer.js';

interface Case {
  readonly messages: ChatMessage[];
  readonly prompt: boolean;
  readonly tools: unknown[] | null;
  readonly text: string | { readonly raised: string };
  readonly ids?: number[];
  readonly mask?: number[];
}
const read = (name: string): unknown => JSON.parse(readFileSync(new URL(`../../fixtures/${name}`, import.meta.url), 'utf8'));
const fixture = read('template-fixture.json') as {
  named: Record<string, string>;
  templates: { name: string; template: string; cases: Case[] }[];
};
const demo = await resolveModelDir(modelStore(process.env), 'smollm2-135m-instruct');
const specials = ['<|im_start|>', '<|im_end|>'];
const code = (run: () => unknown): string => {
  try {
    run();
    return 'no error';
  } catch (error) {
    return error instanceof ModelError ? error.code : `not a ModelError: ${String(error)}`;
  }
};

describe('chat templates against transformers', () => {
  for (const { name, template, cases } of fixture.templates) {
    it(`renders like Jinja2: ${name}`, () => {
      const compiled = chatTemplate(template, fixture.named, specials);
      for (const c of cases) {
        const render = () => compiled.render(c.messages, { addGenerationPrompt: c.prompt, ...(c.tools ? { tools: c.tools } : {}) });
        if (typeof c.text === 'string') expect(render()).toBe(c.text);
        else expect(code(render)).toBe('template_raised');
      }
    });
  }

  it('renders SmolLM2 conversations to the same text and ids', async () => {
    const { chats } = read('text-fixture.json') as {
      chats: ({ messages: ChatMessage[] } & Record<'plain' | 'prompted', { text: string; ids: number[] }>)[];
    };
    const template = await loadChatTemplate(demo);
    const tokenizer = await loadTokenizer(demo);
    for (const chat of chats) {
      for (const kind of ['plain', 'prompted'] as const) {
        const text = template.render(chat.messages, { addGenerationPrompt: kind === 'prompted' });
        expect(text).toBe(chat[kind].text);
        expect([...(await tokenizer.encode(text)).ids]).toEqual(chat[kind].ids);
      }
    }
  });
});

describe('assistant spans', () => {
  const parts = (template: string, messages: ChatMessage[]) =>
    renderWithSpans(chatTemplate(template, fixture.named, specials), messages).map(({ text, spans }) => ({
      text,
      parts: spans.map((s) => `${s.message}:${text.slice(s.start, s.end)}`),
    }));
  const named = (name: string) => fixture.templates.find((t) => t.name === name)?.template ?? '';

  it('follow generation tags: the mask equals return_assistant_tokens_mask', async () => {
    const tokenizer = await loadTokenizer(demo);
    let compared = 0;
    for (const { template, cases } of fixture.templates) {
      for (const c of cases.filter((x) => x.mask)) {
        const [only] = renderWithSpans(chatTemplate(template, fixture.named, specials), c.messages);
        const { ids, offsets } = await tokenizer.encode(only?.text ?? '');
        expect([...ids]).toEqual(c.ids);
        const covered = (i: number) => only?.spans.some((s) => (offsets[2 * i] ?? 0) < s.end && (offsets[2 * i + 1] ?? 0) > s.start);
        expect(Array.from(ids, (_, i) => (covered(i) ? 1 : 0))).toEqual(c.mask);
        compared++;
      }
    }
    expect(compared).toBe(10);
  });

  it('take the answer and its end token, not the newline after it', async () => {
    const template = await loadChatTemplate(demo);
    const messages = [
      { role: 'user', content: 'q' },
      { role: 'assistant', content: '\nfirst\n' },
      { role: 'user', content: 'r' },
      { role: 'assistant', content: '😀' },
    ];
    const [only, ...more] = renderWithSpans(template, messages);
    expect(more).toEqual([]);
    expect(only?.spans.map((s) => [s.message, only.text.slice(s.start, s.end)])).toEqual([
      [1, '\nfirst\n<|im_end|>'],
      [3, '😀<|im_end|>'],
    ]);
  });

  it('give one text for each turn when an earlier turn is printed differently later', () => {
    const messages = [
      { role: 'user', content: 'a' },
      { role: 'assistant', content: '<think>x</think>\n\nfirst' },
      { role: 'user', content: 'b' },
      { role: 'assistant', content: '<think>y</think>\n\nsecond' },
    ];
    expect(parts(named('thinking in the last turn'), messages)).toEqual([
      { text: '[user]\na[end]\n[assistant]\n<think>x</think>\n\nfirst[end]\n', parts: ['1:<think>x</think>\n\nfirst[end]\n'] },
      {
        text: '[user]\na[end]\n[assistant]\nfirst[end]\n[user]\nb[end]\n[assistant]\n<think>y</think>\n\nsecond[end]\n',
        parts: ['3:<think>y</think>\n\nsecond[end]\n'],
      },
    ]);
  });

  it('refuse a template whose prompt is not the beginning of its answer, and name the place', () => {
    const template = '{% for m in messages %}{{ m.content }};{% endfor %}{% if add_generation_prompt %}A:{% endif %}';
    const messages = [
      { role: 'user', content: 'q' },
      { role: 'assistant', content: 'x' },
    ];
    expect(() => parts(template, messages)).toThrow(/turn 1 .*first difference at character 2/);
  });

  it('have no spans without an assistant turn', () => {
    expect(parts(named('alternating, trimmed'), [{ role: 'user', content: 'q' }])).toEqual([
      { text: '<|endoftext|><user>q</user>\n', parts: [] },
    ]);
  });

  it('find tagged spans when the content holds private-use characters', () => {
    const messages = [
      { role: 'user', content: '\ue0f0' },
      { role: 'assistant', content: '\ue0f1\ue0f2' },
    ];
    expect(parts(named('generation tags'), messages)[0]?.parts).toEqual(['1:\ue0f1\ue0f2<|im_end|>']);
  });
});

describe('hostile templates and messages', () => {
  const render = (template: string, content: unknown = 'x') => chatTemplate(template, {}, []).render([{ role: 'user', content }]);
  const big = 'a'.repeat(100_000);

  const refused: Record<string, string> = {
    'a long range': '{% for i in range(1000000000) %}x{% endfor %}',
    'nested loops': '{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}',
    'doubling text': '{% set ns = namespace(s="ab") %}{% for i in range(64) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}',
    'doubling lists': '{% set ns = namespace(s=[1]) %}{% for i in range(64) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s | tojson }}',
    'doubling lists through namespaces': '{% set n = namespace(x=1) %}{% set m = namespace(x=n) %}{{ m.x }}',
    'a namespace that holds itself': '{% set n = namespace() %}{% set n.self = n %}{{ n }}',
    'printing output without end': `{% for i in range(99999) %}{{ messages[0].content }}{% endfor %}`,
    'replace that multiplies': '{{ messages[0].content.replace("", messages[0].content) }}',
    'replace filter that multiplies': '{{ messages[0].content | replace("a", messages[0].content) }}',
    'a method taken by another name': '{% set f = messages[0].content["re" + "place"] %}{{ f("", messages[0].content) }}',
    'indent without end': '{{ ("\n" + messages[0].content) | indent(1000000000) }}',
    'tojson indent': '{{ messages | tojson(indent=100000000) }}',
    'join that multiplies': '{{ range(9999) | join(messages[0].content) }}',
    'endless macro': '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}',
    'searching without end':
      '{% for i in range(90000) %}{{ (messages[0].content + "b") in (messages[0].content + messages[0].content) }}{% endfor %}',
    'a run of blanks': `${' '.repeat(50_000)}{{ 1 }}`,
    'a syntax error': '{% if %}',
    'an unknown filter': '{{ 1 | system }}',
    'a date': '{{ strftime_now("%Y") }}',
    'deep nesting': `{{ ${'('.repeat(60_000)}1${')'.repeat(60_000)} }}`,
  };
  for (const [what, template] of Object.entries(refused)) {
    it(`refuses ${what}`, () => expect(code(() => render(template, big))).toBe('bad_template'));
  }

  it('reaches no JavaScript object through attributes', () => {
    const names = ['constructor', '__proto__', 'prototype', '__class__', 'toString', 'valueOf', '__defineGetter__'];
    for (const name of names) {
      for (const base of ['messages', 'messages[0]', 'messages[0].content', 'namespace', '1', 'none']) {
        expect(render(`[{{ ${base}.${name} }}][{{ ${base}["${name}"] is defined }}]`)).toBe('[][False]');
      }
    }
  });

  it('refuses values that would print differently than in Python', () => {
    for (const value of [2 ** 60, 1e-7, 1e300, Number.NaN, { 2: 'a', 1: 'b' }, () => 1])
      expect(code(() => render('{{ messages }}', value))).toBe('bad_messages');
    let deep: unknown = 1;
    for (let i = 0; i < 100; i++) deep = [deep];
    expect(code(() => render('{{ messages }}', deep))).toBe('bad_messages');
  });

  it('keeps a key called __proto__ as data', () => {
    expect(
      chatTemplate('{{ messages[0] | tojson }}', {}, []).render([JSON.parse('{"role":"user","__proto__":{"x":1}}') as ChatMessage]),
    ).toBe('{"role": "user", "__proto__": {"x": 1}}');
  });

  it('renders a megabyte of content within the budget', () => {
    const content = 'word '.repeat(200_000);
    expect(render('{% for m in messages %}{{ m.role + m.content | trim + m.content }}{% endfor %}', content)).toHaveLength(
      4 + 999_999 + 1_000_000,
    );
  });
});
