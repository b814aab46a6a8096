/** Which class and code an error of any room has: decides whether the job is tried again (infra) or is over (user, precheck). Pure. */
import { AdapterError } from '@rowsmith/adapter';
import { ContractError, type ErrorClass, type FromTrainer, trainerExit } from '@rowsmith/contracts';
import { EngineError } from '@rowsmith/engine';
import { ModelError } from '@rowsmith/hf';
import { NativeError } from '@rowsmith/native';
import { StorageError } from '@rowsmith/storage';
import { TrainerError } from './trainer-error.js';

export type Failed = Extract<FromTrainer, { type: 'failed' }>;

/** Of the file system: another attempt, later or elsewhere, may succeed. */
const systemCodes: Readonly<Record<string, readonly [code: string, message: string]>> = {
  ENOSPC: ['disk_full', 'there is no space left on the disk of the worker or its object store'],
  EDQUOT: ['disk_full', 'the disk quota of the worker or its object store is used up'],
  EMFILE: ['too_many_files', 'the worker has too many open files'],
  ENOMEM: ['out_of_memory', 'the worker has no memory left'],
  ...Object.fromEntries(
    ['ECONNRESET', 'ECONNREFUSED', 'ETIMEDOUT', 'EPIPE', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'].map((code) => [
      code,
      ['network', 'a server that the worker needs cannot be reached'] as const,
    ]),
  ),
  EIO: ['disk_error', 'a disk of the worker reports an input/output error'],
};

export function failureOf(error: unknown): Failed {
  if (error instanceof TrainerError || error instanceof EngineError)
    return failed(error.errorClass, error.code, error.message, error.param);
  if (error instanceof ModelError) return failed(error.fault === 'infra' ? 'infra' : 'precheck', error.code, error.message, 'model');
  if (error instanceof AdapterError) return failed('infra', error.code, error.message);
  if (error instanceof NativeError) return failed('infra', error.code, error.message);
  if (error instanceof StorageError) return failed('infra', error.code, error.message);
  if (error instanceof ContractError) return failed('infra', 'invalid_message', error.message);
  const system = systemCodes[systemCode(error) ?? ''];
  if (system) return failed('infra', system[0], system[1]);
  // Text of unknown origin may hold paths: it goes to the log, not to the user.
  const name = error instanceof Error ? error.name : typeof error;
  return failed('infra', 'internal', `the trainer failed unexpectedly (${name}); the worker's log has the details`);
}

export function exitCodeOf({ class: errorClass }: Failed): number {
  return errorClass === 'infra' ? trainerExit.infra : trainerExit.user;
}

function systemCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

function failed(errorClass: ErrorClass, code: string, message: string, param: string | null = null): Failed {
  return { type: 'failed', class: errorClass, code, message, param };
}
