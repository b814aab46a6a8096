import { AdapterError } from '@rowsmith/adapter';
import { ContractError, trainerExit } from '@rowsmith/contracts';
import { EngineError } from '@rowsmith/engine';
import { ModelError } from '@rowsmith/hf';
import { describe, expect, it } from 'vitest';
import { exitCodeOf, failureOf } from './failure.js';
import { TrainerError } from './trainer-error.js';

const system = (code: string) => Object.assign(new Error(`${code}: write '/data/secret-folder/x'`), { code });

describe('the class of a failure decides whether the job is tried again', () => {
  it.each([
    ['a loss that is NaN', new EngineError('user', 'nan_loss', 'the loss is NaN'), 'user', 'nan_loss', trainerExit.user],
    ['data', new TrainerError('user', 'no_labelled_tokens', 'nothing', 'training_file'), 'user', 'no_labelled_tokens', trainerExit.user],
    ['a model that is wrong', new ModelError('bad_config', 'no layers'), 'precheck', 'bad_config', trainerExit.user],
    ['a model that cannot be read', new ModelError('disk', 'unreadable'), 'infra', 'disk', trainerExit.infra],
    ['an export that differs', new AdapterError('export_differs', 'by 1'), 'infra', 'export_differs', trainerExit.infra],
    ['a full disk', system('ENOSPC'), 'infra', 'disk_full', trainerExit.infra],
    ['a connection that broke', system('ECONNRESET'), 'infra', 'network', trainerExit.infra],
    ['a message of another version', new ContractError('message', []), 'infra', 'invalid_message', trainerExit.infra],
    ['anything else', new RangeError('x'), 'infra', 'internal', trainerExit.infra],
    ['what is no error', 'thrown text', 'infra', 'internal', trainerExit.infra],
  ])('%s', (_what, error, errorClass, code, exitCode) => {
    const failure = failureOf(error);
    expect(failure).toMatchObject({ class: errorClass, code });
    expect(exitCodeOf(failure)).toBe(exitCode);
  });

  it('paths and texts of unknown origin are not shown to the user', () => {
    expect(failureOf(system('ENOSPC')).message).not.toContain('secret-folder');
    expect(failureOf(system('EWHATEVER')).message).not.toContain('secret-folder');
  });
});
