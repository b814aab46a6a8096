/** What the trainer says, as events of the job. Pure. */
import type { FromTrainer } from '@rowsmith/contracts';
import type { NewEvent } from '@rowsmith/core';

type Message<T extends FromTrainer['type']> = Extract<FromTrainer, { type: T }>;
const count = (value: number) => value.toLocaleString('en-US');

export const phaseEvent = ({ phase, message }: Message<'phase'>): NewEvent => ({ level: 'info', type: 'phase', message, data: { phase } });

export function plannedEvents({ type: _, ...plan }: Message<'planned'>): readonly NewEvent[] {
  const rows = `${count(plan.rows)} rows (${count(plan.trainable_parameters)} parameters)`;
  const message = `${count(plan.train_examples)} examples, ${count(plan.total_steps)} steps; training ${rows}`;
  const cut = `${count(plan.truncated_examples)} examples are longer than max_seq_length and were cut`;
  return [
    { level: 'info', type: 'attempt.started', message, data: plan },
    ...(plan.truncated_examples > 0 ? [{ level: 'warn', type: 'warning', message: cut } as const] : []),
  ];
}

/** One for the place it goes on from, one for every checkpoint that could not be used. */
export function resumedEvents({ step, rejected }: Message<'resumed'>): readonly NewEvent[] {
  const warnings = rejected.map(({ manifest_key, reason }): NewEvent => {
    const message = `The checkpoint ${manifest_key.split('/').at(-2)} cannot be used: ${reason}`;
    return { level: 'warn', type: 'warning', message, data: { code: 'checkpoint_rejected', manifest_key, reason } };
  });
  const message = step > 0 ? `Goes on after step ${step}` : 'Starts again from step 0';
  return [...warnings, { level: 'info', type: 'attempt.started', message, data: { step } }];
}

export const sampleEvent = ({ when, step, prompt, completion }: Message<'sample'>): NewEvent => ({
  level: 'info',
  type: 'sample',
  message: `Sample ${when === 'during' ? `at step ${step}` : `${when} training`}: ${completion.length > 200 ? `${completion.slice(0, 200)}...` : completion}`,
  data: { when, step, prompt, completion },
});

export function earlyStopEvent({ step, evaluations, best_step, best_valid_loss }: Message<'early_stop'>): NewEvent {
  const best = best_step === null ? '' : `; the lowest is ${best_valid_loss?.toFixed(4)}, after step ${best_step}`;
  const message = `Stopped early after step ${count(step)}: validation loss has not improved in ${count(evaluations)} evaluations${best}`;
  return { level: 'info', type: 'early_stop', message, data: { step, evaluations, best_step, best_valid_loss } };
}
