/** How a model computes losses and gradients: operator by operator, or by graphs that were recorded once for each shape. Results differ by rounding. */
export type Execution = 'eager' | 'graph';
