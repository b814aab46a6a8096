import { EngineError } from '../errors.js';
import { estimateMemory, type MemoryEstimate, type MemoryQuestion } from './estimate-memory.js';

export interface MemoryChoice {
  readonly memory: 'fast' | 'low';
  readonly estimate: MemoryEstimate;
}

/** Share of the memory that is left free: estimates are within 10 % of the peak. */
const margin = 0.1;

/**
 * What the job asks for, or with 'auto' fast where it fits, else low. available: bytes that the process may take beyond what it holds now, which is
 * `runtimeBytes`. Throws EngineError (precheck) `out_of_memory` when the choice does not fit.
 */
export function chooseMemory(asked: 'auto' | 'fast' | 'low', question: Omit<MemoryQuestion, 'memory'>, available: number): MemoryChoice {
  const limit = question.runtimeBytes + available;
  const choices = (asked === 'auto' ? (['fast', 'low'] as const) : [asked]).map((memory) => ({
    memory,
    estimate: estimateMemory({ ...question, memory }),
  }));
  const fitting = choices.find(({ estimate }) => estimate.total * (1 + margin) <= limit);
  if (fitting) return fitting;
  const { memory, estimate } = choices.at(-1) as MemoryChoice;
  const mib = (bytes: number) => Math.ceil(bytes / 2 ** 20);
  const advice = memory === 'fast' ? "set memory to 'low', or " : '';
  throw new EngineError(
    'precheck',
    'out_of_memory',
    `training needs about ${mib(estimate.total * (1 + margin))} MiB, ${mib(limit)} MiB are available: ${advice}lower batch_size or max_seq_length`,
    'row_sparse.memory',
  );
}
