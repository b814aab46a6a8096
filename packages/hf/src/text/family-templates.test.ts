/** What is learnt of a conversation under the templates of the model families (fixtures/make-template-fixture.py; chat-template.test.ts holds their texts to Jinja2). */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { renderWithSpans } from './assistant-spans.js';
import { type ChatMessage, chatTemplate } from './chat-template.js';

const { named, templates } = JSON.parse(readFileSync(new URL('../../fixtures/template-fixture.json', import.meta.url), 'utf8')) as {
  named: Record<string, string>;
  templates: { name: string; template: string }[];
};
const compiled = (family: string) => {
  const found = templates.find((t) => t.name.startsWith(family));
  return chatTemplate(found?.template ?? '', named, ['<|endoftext|>', '<|im_start|>', '<|im_end|>']);
};
/** Per text: what stands before the first answer is left out, answers are in brackets. */
const learnt = (family: string, messages: ChatMessage[]) =>
  renderWithSpans(compiled(family), messages).map(({ text, spans }) => spans.map((s) => `${s.message}:${text.slice(s.start, s.end)}`));
const chat = (...turns: [string, string][]): ChatMessage[] => turns.map(([role, content]) => ({ role, content }));
const two = chat(['user', 'a'], ['assistant', ' A '], ['user', 'b'], ['assistant', 'B']);
const withSystem = chat(['system', 'S'], ['user', 'a'], ['assistant', 'A'], ['user', 'b'], ['assistant', 'B']);

describe('assistant turns of the families', () => {
  it('Gemma: the role is "model", answers are trimmed, and Gemma 2 has no system message', () => {
    expect(learnt('gemma 2', two)).toEqual([['1:A<|im_end|>', '3:B<|im_end|>']]);
    expect(learnt('gemma 3', withSystem)).toEqual([['2:A<|im_end|>', '4:B<|im_end|>']]);
    expect(() => learnt('gemma 2', withSystem)).toThrow(/refuses these messages: System role not supported/);
  });

  it('Mistral: the system message is in the prompt of each answer, where inference puts it', () => {
    expect(learnt('mistral', two)).toEqual([['1: A <|im_end|>', '3:B<|im_end|>']]);
    expect(renderWithSpans(compiled('mistral'), withSystem).map((t) => t.text)).toEqual([
      '<|endoftext|>[INST]S\n\na[/INST]A<|im_end|>',
      '<|endoftext|>[INST]a[/INST]A<|im_end|>[INST]S\n\nb[/INST]B<|im_end|>',
    ]);
    expect(learnt('mistral', withSystem)).toEqual([['2:A<|im_end|>'], ['4:B<|im_end|>']]);
    expect(() => learnt('mistral', chat(['user', 'a'], ['user', 'b'], ['assistant', 'c']))).toThrow(/roles must alternate/);
  });

  it('Qwen 2.5: calls are answers, what the tools say is not', () => {
    const call = { function: { name: 'f', arguments: { x: 1 } } };
    const messages: ChatMessage[] = [
      { role: 'user', content: 'call' },
      { role: 'assistant', content: '', tool_calls: [call, call] },
      { role: 'tool', content: '42' },
      { role: 'tool', content: '43' },
      { role: 'assistant', content: 'Done' },
    ];
    const said = '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>';
    expect(learnt('qwen', messages)).toEqual([[`1:${said}\n${said}<|im_end|>`, '4:Done<|im_end|>']]);
  });

  it('Phi-3: all turns in one text, though each text is closed by one more end token', () => {
    expect(learnt('phi-3', withSystem)).toEqual([['2:A<|im_end|>', '4:B<|im_end|>\n<|endoftext|>']]);
    // An answer that is printed differently later keeps its own text.
    const edited = chatTemplate(
      '{% for m in messages %}[{{ m.role }}]{{ m.content if loop.last else m.content[:1] }}<|im_end|>{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}',
      {},
      ['<|im_end|>'],
    );
    const long = chat(['user', 'q'], ['assistant', 'first'], ['user', 'r'], ['assistant', 'next']);
    expect(renderWithSpans(edited, long).map((t) => t.spans.length)).toEqual([1, 1]);
  });

  it('Llama 3.1: the date is the fixed one, the first prompt and all answers share it', () => {
    const [only, ...more] = renderWithSpans(compiled('llama'), withSystem);
    expect(more).toEqual([]);
    expect(only?.text).toContain('Today Date: 26 Jul 2024\n\nS<|im_end|>');
    expect(learnt('llama', withSystem)).toEqual([['2:A<|im_end|>', '4:B<|im_end|>']]);
  });
});
