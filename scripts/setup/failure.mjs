/** A set-up step that cannot go on. `repair` is one sentence that tells the reader what to do. */
export class SetupFailure extends Error {
  /** @param {string} message @param {string} repair */
  constructor(message, repair) {
    super(message);
    this.name = 'SetupFailure';
    this.repair = repair;
  }
}
