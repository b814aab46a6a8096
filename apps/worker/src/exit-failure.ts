/** What an exit means that no message explained. Pure. */
import { trainerExit } from '@rowsmith/contracts';
import type { AttemptFailure } from '@rowsmith/core';
import type { TrainerExit } from './trainer-process.js';

const infra = (code: string, message: string): AttemptFailure => ({ class: 'infra', code, message, param: null });

/** The job's own limit: trying again would not make it faster. What it saved stays. */
export const expired: AttemptFailure = {
  class: 'user',
  code: 'max_duration_exceeded',
  message: 'the job ran as long as its max_duration_seconds allows and was stopped; its last checkpoint is kept',
  param: 'max_duration_seconds',
};

/** `oomKills`: processes that the kernel killed on this machine for want of memory while the trainer ran. */
export function failureOfExit({ code, signal }: Pick<TrainerExit, 'code' | 'signal'>, oomKills: number): AttemptFailure {
  if (signal === 'SIGKILL' && oomKills > 0)
    return infra(
      'out_of_memory',
      'the trainer was killed because the machine ran out of memory; a smaller batch_size or max_seq_length needs less',
    );
  if (signal !== null) return infra('trainer_killed', `the trainer was ended by ${signal}`);
  switch (code) {
    case trainerExit.user:
      return { class: 'user', code: 'trainer_failed', message: 'the trainer refused the job without saying why', param: null };
    case null:
      return infra('trainer_not_started', 'the trainer could not be started');
    default:
      return infra('trainer_crashed', `the trainer ended unexpectedly with exit code ${code}`);
  }
}

/** The kernel's counter of such kills, from the text of /proc/vmstat; 0 where it has none. */
export function oomKillCount(vmstat: string): number {
  return Number(/^oom_kill (\d+)$/m.exec(vmstat)?.[1] ?? 0);
}
