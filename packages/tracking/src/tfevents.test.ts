import type { MetricPoint } from '@rowsmith/contracts';
import { expect, test } from 'vitest';
import { crc32c } from './crc32c.js';
import { tfeventsHeader, tfeventsRecord } from './tfevents.js';

const point = (fields: Partial<MetricPoint>): MetricPoint => ({
  ...{ step: 1, epoch: 0.5, train_loss: null, train_mean_token_accuracy: null, valid_loss: null, valid_mean_token_accuracy: null },
  ...{ learning_rate: null, grad_norm: null, tokens: null, labelled_tokens: null, seconds: null },
  ...fields,
});

test('CRC-32C gives the values of RFC 3720 B.4', () => {
  expect(crc32c(new Uint8Array(32)).toString(16)).toBe('8a9136aa');
  expect(crc32c(new Uint8Array(32).fill(255)).toString(16)).toBe('62a8ab43');
  expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i)).toString(16)).toBe('46dd794e');
  expect(crc32c(Buffer.from('123456789')).toString(16)).toBe('e3069283');
});

test('records are those of TensorBoard 2.21 itself, byte for byte', () => {
  // RecordWriter().write(Event(wall_time=1700000000, file_version="brain.Event:2").SerializeToString())
  expect(tfeventsHeader(1_700_000_000).toString('hex')).toBe(
    '1800000000000000a37f4b220900000040fc54d9411a0d627261696e2e4576656e743a32eced8f9d',
  );
  // Event(wall_time=1.5, step=300, summary=Summary(value=[Value(tag="train/loss", simple_value=0.25), Value(tag="train/epoch", simple_value=0.5)]))
  expect(tfeventsRecord(point({ step: 300, train_loss: 0.25 }), 1.5).toString('hex')).toBe(
    '3500000000000000d6c55de609000000000000f83f10ac022a270a110a0a747261696e2f6c6f7373150000803e0a120a0b747261696e2f65706f6368150000003f5d5a9fa9',
  );
});
