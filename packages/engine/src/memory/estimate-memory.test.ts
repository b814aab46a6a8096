import type { DecoderConfig } from '@rowsmith/contracts';
import { describe, expect, it } from 'vitest';
import { tinyConfig } from '../models/tiny-model.js';
import { chooseMemory } from './choose-memory.js';
import { estimateMemory, type MemoryQuestion, trainedNumbers } from './estimate-memory.js';

const MiB = 2 ** 20;
const smollm2: DecoderConfig = {
  ...tinyConfig,
  ...{ hidden_size: 576, n_layers: 30, n_heads: 9, n_kv_heads: 3, head_dim: 64, intermediate_size: 1536, vocab_size: 49152 },
  max_position_embeddings: 8192,
};
const targets: MemoryQuestion['rowSparse']['targets'] = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'];
const question = (change: Partial<MemoryQuestion> = {}, rowSparse: Partial<MemoryQuestion['rowSparse']> = {}): MemoryQuestion => ({
  ...{ config: smollm2, memory: 'fast', tokens: 1024, length: 1024, labelled: 1020, operators: 'fused', runtimeBytes: 304 * MiB },
  rowSparse: { rows: 32, targets, layers: [0, 29], channels: 'out', quantization: 'none', gradient_accumulation_steps: 1, ...rowSparse },
  ...change,
});
const total = (...asked: Parameters<typeof question>) => estimateMemory(question(...asked)).total;

describe('memory estimate', () => {
  // Peaks of `node bench/memory.mjs` on 2 cores, fused operators, MiB.
  it.each([
    [4, 256, 32, 'fast', 1862],
    [4, 256, 32, 'low', 1261],
    [1, 512, 32, 'fast', 1524],
    [1, 512, 32, 'low', 1168],
    [4, 512, 128, 'fast', 3305],
    [4, 512, 128, 'low', 2074],
  ] as const)('%i x %i, %i rows, %s: within 10 %% of the measured %i MiB', (batch, length, rows, memory, peak) => {
    const tokens = batch * length;
    const estimate = total({ memory, tokens, length: tokens, labelled: tokens - batch }, { rows });
    expect(Math.abs(estimate / (peak * MiB) - 1)).toBeLessThan(0.1);
  });

  it('its parts add up; mapped and own weights are the file', () => {
    for (const operators of ['fused', 'stock'] as const) {
      const { total: sum, ...parts } = estimateMemory(question({ operators }));
      expect(Object.values(parts).reduce((a, b) => a + b, 0)).toBe(sum);
      // V C + C + L ((H + 2K) D C + C H D + 3 F C + 2 C) numbers.
      const weights = 49152 * 576 + 576 + 30 * (15 * 64 * 576 + 576 * 576 + 3 * 1536 * 576 + 2 * 576);
      expect(parts.weightsMapped + parts.baseAnonymous).toBe(4 * weights);
    }
  });

  it('counts trained numbers: rows, columns, both; only chosen targets and layers', () => {
    const one = (channels: 'out' | 'in' | 'both') =>
      trainedNumbers(question({}, { channels, targets: ['down_proj'], layers: [28, 29], rows: 4 }));
    expect(one('out')).toBe(2 * 4 * 1536);
    expect(one('in')).toBe(2 * 4 * 576);
    expect(one('both')).toBe(2 * 4 * (1536 + 576));
  });

  it('grows with tokens, rows and accumulation; falls with low memory and when lower layers are frozen', () => {
    const before = total();
    expect(total({ tokens: 2048, length: 2048 })).toBeGreaterThan(before);
    expect(total({}, { rows: 64 })).toBeGreaterThan(before);
    expect(total({}, { gradient_accumulation_steps: 2 })).toBeGreaterThan(before);
    expect(total({ memory: 'low' })).toBeLessThan(before);
    expect(total({}, { layers: [20, 29] })).toBeLessThan(before - 19 * 1024 * 4 * 5000);
    expect(total({}, { quantization: 'nf4' })).toBeLessThan(before);
  });
});

describe('choice of memory', () => {
  const needs = (memory: 'fast' | 'low') => total({ memory }) * 1.1 - question().runtimeBytes;
  it('auto takes fast where it fits with a tenth to spare, else low; what is asked for is taken', () => {
    expect(chooseMemory('auto', question(), needs('fast') + 1).memory).toBe('fast');
    expect(chooseMemory('auto', question(), needs('fast') - 1).memory).toBe('low');
    expect(chooseMemory('low', question(), 1e12).memory).toBe('low');
  });

  it('refuses what does not fit, with what it needs and what there is', () => {
    const refused = (asked: 'auto' | 'fast', available: number) => {
      try {
        chooseMemory(asked, question(), available);
      } catch (error) {
        return error;
      }
      throw new Error('not refused');
    };
    const limit = needs('low') - 1;
    expect(refused('auto', limit)).toMatchObject({ errorClass: 'precheck', code: 'out_of_memory', param: 'row_sparse.memory' });
    const mib = (bytes: number) => Math.ceil(bytes / MiB);
    expect(String(refused('auto', limit))).toContain(
      `about ${mib(total({ memory: 'low' }) * 1.1)} MiB, ${mib(limit + question().runtimeBytes)} MiB are available`,
    );
    expect(String(refused('fast', needs('fast') - 1))).toContain("set memory to 'low'");
  });
});
