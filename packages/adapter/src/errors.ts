/** Closed list: what can be wrong with a row-delta file or an export. */
export const adapterErrorCodes = ['bad_rows', 'other_base', 'bad_export', 'export_differs'] as const;
export type AdapterErrorCode = (typeof adapterErrorCodes)[number];

/** A row-delta or adapter was refused; the message names the file, the module and the rule. */
export class AdapterError extends Error {
  override readonly name = 'AdapterError';
  constructor(
    readonly code: AdapterErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
