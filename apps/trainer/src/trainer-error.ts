import type { ErrorClass } from '@rowsmith/contracts';

/** A fault with its class: what the worker is told. `message` is shown to the user. */
export class TrainerError extends Error {
  override readonly name = 'TrainerError';
  constructor(
    readonly errorClass: ErrorClass,
    readonly code: string,
    message: string,
    readonly param: string | null = null,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
