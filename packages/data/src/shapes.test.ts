import { chatTemplate } from '@rowsmith/hf';
import { expect, test } from 'vitest';
import { parseJson } from './json-text.js';
import { rowTexts } from './row-texts.js';
import { type Row, readRow } from './rows.js';

const read = (row: unknown) => {
  const parsed = parseJson(JSON.stringify(row), 32);
  if ('fault' in parsed) throw new Error(parsed.fault.message);
  return readRow(parsed.value);
};
const rowOf = (row: unknown): Row => {
  const { row: found, faults } = read(row);
  if (found === null) throw new Error(faults.map(({ message }) => message).join('; '));
  return found;
};
const turnsOf = (row: unknown) => {
  const found = rowOf(row);
  return found.shape === 'chat' ? found.messages.map(({ role, content, learn }) => [role, content, learn]) : [];
};
const faultOf = (row: unknown) => {
  const [first] = read(row).faults;
  return first && [first.code, first.path];
};

const tool = { type: 'function', function: { name: 'weather', description: 'now', parameters: { type: 'object', properties: {} } } };
const call = { id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city": "Rome"}' } };
/** The example of OpenAI's documentation: a call, its answer, the reply. */
const withTools = {
  messages: [
    { role: 'user', content: 'Rome?' },
    { role: 'assistant', tool_calls: [call] },
    { role: 'tool', tool_call_id: 'call_1', content: '21 C' },
    { role: 'assistant', content: 'Mild.' },
  ],
  parallel_tool_calls: false,
  tools: [tool],
};

test('tools, calls with arguments as objects, answers of tools', () => {
  expect(rowOf(withTools)).toEqual({
    shape: 'chat',
    tools: [tool],
    messages: [
      { role: 'user', content: 'Rome?', learn: false },
      {
        role: 'assistant',
        content: '',
        learn: true,
        toolCalls: [{ id: 'call_1', type: 'function', function: { name: 'weather', arguments: { city: 'Rome' } } }],
      },
      { role: 'tool', content: '21 C', toolCallId: 'call_1', learn: false },
      { role: 'assistant', content: 'Mild.', learn: true },
    ],
  });
});

test('content as a list of text parts; weights', () => {
  const messages = [
    {
      role: 'user',
      content: [
        { type: 'text', text: 'a' },
        { type: 'text', text: 'b' },
      ],
    },
    { role: 'assistant', content: 'no', weight: 0 },
    { role: 'user', content: 'c' },
    { role: 'assistant', content: [{ type: 'text', text: 'yes' }], weight: 1 },
  ];
  expect(turnsOf({ messages })).toEqual([
    ['user', 'ab', false],
    ['assistant', 'no', false],
    ['user', 'c', false],
    ['assistant', 'yes', true],
  ]);
});

test('ShareGPT', () => {
  const conversations = [
    { from: 'system', value: 'Be brief.' },
    { from: 'human', value: 'hi' },
    { from: 'gpt', value: 'hello' },
  ];
  expect(read({ conversations }).shape).toBe('sharegpt');
  expect(turnsOf({ conversations })).toEqual([
    ['system', 'Be brief.', false],
    ['user', 'hi', false],
    ['assistant', 'hello', true],
  ]);
  const withCall = {
    system: 'S',
    tools: JSON.stringify([tool]),
    conversations: [
      { from: 'human', value: 'Rome?' },
      { from: 'function_call', value: '{"name": "weather", "arguments": {"city": "Rome"}}' },
      { from: 'observation', value: '21 C' },
      { from: 'gpt', value: 'Mild.' },
    ],
  };
  expect(rowOf(withCall)).toMatchObject({
    tools: [tool],
    messages: [
      { role: 'system', content: 'S' },
      { role: 'user' },
      { role: 'assistant', toolCalls: [{ function: { name: 'weather', arguments: { city: 'Rome' } } }] },
      { role: 'tool', content: '21 C' },
      { role: 'assistant' },
    ],
  });
});

test('Alpaca', () => {
  const row = { instruction: 'Add.', input: '1 2', output: '3', system: 'S', history: [['q', 'a']] };
  expect(read(row).shape).toBe('alpaca');
  expect(turnsOf(row)).toEqual([
    ['system', 'S', false],
    ['user', 'q', false],
    ['assistant', 'a', true],
    ['user', 'Add.\n1 2', false],
    ['assistant', '3', true],
  ]);
  expect(turnsOf({ instruction: 'Hi', input: '', output: 'x' })[0]).toEqual(['user', 'Hi', false]);
});

test.each<[string, unknown, string, string]>([
  ['a picture', { messages: [{ role: 'user', content: [{ type: 'image_url' }] }] }, 'unsupported', 'messages[0].content[0].type'],
  [
    'broken arguments',
    { messages: [{ role: 'assistant', tool_calls: [{ function: { name: 'f', arguments: '{' } }] }] },
    'wrong_type',
    'messages[0].tool_calls[0].function.arguments',
  ],
  ['no call', { messages: [{ role: 'assistant', tool_calls: [] }] }, 'empty', 'messages[0].tool_calls'],
  ['a call of the user', { messages: [{ role: 'user', content: 'x', tool_calls: [call] }] }, 'unknown_field', 'messages[0].tool_calls'],
  ['a tool without a name', { ...withTools, tools: [{ type: 'function' }] }, 'wrong_type', 'tools[0]'],
  ['an unknown speaker', { conversations: [{ from: 'narrator', value: 'x' }] }, 'unknown_role', 'conversations[0].from'],
  ['no output', { instruction: 'x' }, 'missing_field', 'output'],
  ['a pair of three', { instruction: 'x', output: 'y', history: [['a', 'b', 'c']] }, 'wrong_type', 'history[0]'],
  ['a preference row', { input: {}, preferred_output: [], non_preferred_output: [] }, 'unsupported', ''],
])('%s is refused', (_, row, code, path) => {
  expect(faultOf(row)).toEqual([code, path]);
});

const plainTemplate =
  '{% for m in messages %}{{ m.role }}: {{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}';
const toolTemplate = `{% if tools %}tools: {{ tools | tojson }}</s>{% endif %}{% for m in messages %}{{ m.role }}: {% if m.tool_calls %}{% for c in m.tool_calls %}<call>{{ c.function | tojson }}{% endfor %}{% else %}{{ m.content }}{% endif %}</s>{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}`;
const template = (source: string) => chatTemplate(source, {}, ['</s>']);

test('what is learnt of a conversation with tools: the call and the reply, with their end tokens', () => {
  const [text, ...more] = rowTexts(rowOf(withTools), 1, { template: template(toolTemplate), trainOn: 'assistant' });
  expect(more).toEqual([]);
  expect(text?.spans.map(({ start, end }) => text.text.slice(start, end))).toEqual([
    '<call>{"name": "weather", "arguments": {"city": "Rome"}}</s>',
    'Mild.</s>',
  ]);
  expect(text?.text).toContain('tool: 21 C</s>');
});

test('a template that leaves tools out is refused, not obeyed', () => {
  const texts = (source: string, row: unknown) => rowTexts(rowOf(row), 7, { template: template(source), trainOn: 'assistant' });
  expect(() => texts(plainTemplate, withTools)).toThrow('line 7: the chat template of the model does not print the definitions of tools');
  const { tools: _, ...callOnly } = withTools;
  expect(() => texts(plainTemplate, callOnly)).toThrow('does not print the call of "weather"');
  const hidden = { ...call, function: { name: 'weather', arguments: '{"city": "</s>"}' } };
  const messages = [
    { role: 'user', content: 'x' },
    { role: 'assistant', tool_calls: [hidden] },
  ];
  expect(() => texts(toolTemplate, { ...withTools, messages })).toThrow('messages[1].tool_calls holds "</s>"');
});

test('a developer message is a system message, as OpenAI treats it', () => {
  const row = (role: string) => ({
    messages: [
      { role, content: 'short' },
      { role: 'user', content: 'a' },
      { role: 'assistant', content: 'b' },
    ],
  });
  expect(rowOf(row('developer'))).toEqual(rowOf(row('system')));
});
