import { expect, test } from 'vitest';
import { applySettings } from './settings.js';

test('JSON where it is JSON, else text; what is beside the path stays', () => {
  const settings = [
    'row_sparse.targets=["q_proj"]',
    'row_sparse.scorer=l1',
    'seed=7',
    'auto_start=false',
    'suffix=a=b',
    'validation_file=null',
  ];
  expect(applySettings({ row_sparse: { rows: 4 } }, settings)).toEqual({
    row_sparse: { rows: 4, targets: ['q_proj'], scorer: 'l1' },
    seed: 7,
    auto_start: false,
    suffix: 'a=b',
    validation_file: null,
  });
});

test('metadata is text, and null takes a pair out of a clone', () => {
  expect(applySettings({}, ['metadata.run=12', 'metadata.old=null'])).toEqual({ metadata: { run: '12', old: null } });
});

test('the body given is not changed', () => {
  const body = { row_sparse: { rows: 4 } };
  applySettings(body, ['row_sparse.rows=5']);
  expect(body).toEqual({ row_sparse: { rows: 4 } });
});

test.each(['rows', '=4', 'a..b=1', 'row_sparse.__proto__.x=1'])('%s is refused', (setting) => {
  expect(() => applySettings({}, [setting])).toThrow(/path=value/);
});
