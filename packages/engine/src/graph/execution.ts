import type { ExecutionName } from '@rowsmith/contracts';

/** How a model computes losses and gradients: operator by operator, or by graphs that were recorded once for each shape. Results differ by rounding. */
export type Execution = 'eager' | 'graph';

/** auto: graphs where a GPU computes, since there the dispatch of single operators is the limit. */
export function chooseExecution(asked: ExecutionName, device: 'cpu' | 'cuda'): Execution {
  if (asked !== 'auto') return asked;
  return device === 'cuda' ? 'graph' : 'eager';
}
