/** Whether the job fits this machine, and which of the two ways to train it takes: decided before anything is computed. */
import type { EncodedExample, JobSpec } from '@rowsmith/contracts';
import { chooseMemory, type Engine, type MemoryChoice } from '@rowsmith/engine';
import type { PackedModel } from '@rowsmith/hf';

export interface MachineMemory {
  /** What this process holds now. */
  readonly residentBytes: number;
  /** What it may take beyond that. */
  readonly availableBytes: number;
}

/** A graph keeps all activations, whatever is asked: `low` has been measured to save nothing there. */
export const asFast = (spec: JobSpec): JobSpec => ({ ...spec, row_sparse: { ...spec.row_sparse, memory: 'fast' } });

/** Throws EngineError (precheck) `out_of_memory`. */
export function fitMemory(
  packed: PackedModel,
  { row_sparse: rowSparse, hyperparameters }: JobSpec,
  examples: readonly EncodedExample[],
  operators: Engine['operators']['kind'],
  { residentBytes, availableBytes }: MachineMemory,
): MemoryChoice {
  const question = {
    ...{ config: packed.index.config, rowSparse, operators, runtimeBytes: residentBytes },
    ...largestMicroBatch(examples, hyperparameters.batch_size, rowSparse.packing),
  };
  return chooseMemory(rowSparse.memory, question, availableBytes);
}

/** Of any order of the examples: the longest of them together. */
export function largestMicroBatch(examples: readonly EncodedExample[], batch: number, packing: boolean) {
  const largest = (values: readonly number[]) => values.toSorted((a, b) => b - a).slice(0, batch);
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const lengths = largest(examples.map(({ ids }) => ids.length));
  const [longest = 0] = lengths;
  const tokens = packing ? sum(lengths) : longest * lengths.length;
  const labelled = sum(largest(examples.map(({ labels }) => labels.reduce((count, label) => count + (label === -100 ? 0 : 1), 0))));
  return { tokens, length: packing ? tokens : longest, labelled };
}
