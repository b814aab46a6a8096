import type { JobEvent } from '@rowsmith/contracts';
import { expect, test } from 'vitest';
import { collectAnswers, sideBySide, wrap } from './compare.js';

const sample = (when: string, prompt: string, completion: string): JobEvent => ({
  object: 'fine_tuning.job.event',
  id: 'ftevent-1',
  created_at: 0,
  level: 'info',
  message: '',
  type: 'message',
  data: { type: 'sample', when, prompt, completion },
});

test('answers are matched to their prompts and shown in two columns', () => {
  const collected = collectAnswers(['two eggs']);
  collected.add(sample('before', 'two eggs', 'Sure! Here is a long answer about eggs.'));
  collected.add(sample('after', 'two eggs', '{"eggs":2}\n'));
  collected.add(sample('after', 'unknown', 'x'));
  expect(sideBySide(collected.answers, 60)).toBe(
    [
      '  base model                 | tuned model',
      '',
      '> two eggs',
      '  Sure! Here is a long       | {"eggs":2}',
      '  answer about eggs.         | ',
    ].join('\n'),
  );
});

test('words wider than the column are cut, none is lost', () => {
  expect(wrap('abcdefgh ij', 3)).toEqual(['abc', 'def', 'gh', 'ij']);
  expect(wrap('a b', 80)).toEqual(['a b']);
});
