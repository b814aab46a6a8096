/** Closed list: what was wrong with a model, or with the way to it. */
export const modelErrorCodes = {
  bad_safetensors: 'model',
  bad_gguf: 'model',
  bad_config: 'model',
  bad_tokenizer: 'model',
  bad_template: 'model',
  template_raised: 'model',
  bad_messages: 'model',
  bad_weights: 'model',
  unsupported: 'model',
  pickle_refused: 'model',
  missing_file: 'model',
  bad_id: 'model',
  id_in_use: 'model',
  unknown_model: 'model',
  corrupt_model: 'model',
  hub_not_found: 'model',
  hub_unauthorised: 'model',
  hash_mismatch: 'infra',
  network: 'infra',
  disk: 'infra',
} as const;
export type ModelErrorCode = keyof typeof modelErrorCodes;

/** A model file, folder or hub answer was refused. The message names file and field, and what to do where something can be done. */
export class ModelError extends Error {
  override readonly name = 'ModelError';
  readonly code: ModelErrorCode;
  /** model: what was given is wrong, another attempt gives the same answer; infra: disk or network. */
  readonly fault: 'model' | 'infra';
  readonly file: string | undefined;

  constructor(code: ModelErrorCode, message: string, at: { readonly file?: string; readonly cause?: unknown } = {}) {
    super(printable(at.file === undefined ? message : `${at.file}: ${message}`), at.cause === undefined ? undefined : { cause: at.cause });
    this.code = code;
    this.fault = modelErrorCodes[code];
    this.file = at.file;
  }
}

/** Parsers' own messages quote what they found: a stranger's control characters must reach neither a terminal nor a log. */
const printable = (text: string): string =>
  text.replace(/\p{Cc}/gu, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** Names of bytes and letters from files, made safe to print: control characters out, 80 characters at most. */
export function quoted(text: string): string {
  const short = text.length > 80 ? `${text.slice(0, 77)}...` : text;
  return JSON.stringify(short);
}
