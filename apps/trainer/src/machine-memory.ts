import type { MachineMemory } from './fit-memory.js';
import { TrainerError } from './trainer-error.js';

/**
 * What the system (or the container's limit) still gives, and not more than ROWSMITH_MEMORY_MB allows the process as a whole. `asked`: that variable.
 * Throws TrainerError (infra) `invalid_environment`.
 */
export function machineMemory(asked: string | undefined): MachineMemory {
  const residentBytes = process.memoryUsage.rss();
  const system = process.availableMemory();
  if (asked === undefined || asked === '') return { residentBytes, availableBytes: system };
  const limit = Number(asked);
  if (!Number.isSafeInteger(limit) || limit < 1)
    throw new TrainerError(
      'infra',
      'invalid_environment',
      `ROWSMITH_MEMORY_MB must be a whole number of mebibytes, not ${JSON.stringify(asked)}`,
    );
  return { residentBytes, availableBytes: Math.max(0, Math.min(system, limit * 2 ** 20 - residentBytes)) };
}
