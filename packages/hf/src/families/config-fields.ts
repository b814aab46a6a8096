import { ModelError, quoted } from '../errors.js';

export type Json = Readonly<Record<string, unknown>>;

/** Typed look-ups in a config.json, with the family's defaults filled in; a value of another type is refused by field. */
export class ConfigFields {
  constructor(
    readonly values: Json,
    readonly file: string,
  ) {}

  refuse(message: string): ModelError {
    return new ModelError('unsupported', message, { file: this.file });
  }

  bad(message: string): ModelError {
    return new ModelError('bad_config', message, { file: this.file });
  }

  /** null for null and absent. */
  optionalNumber(field: string): number | null {
    const value = this.values[field] ?? null;
    if (value !== null && (typeof value !== 'number' || !Number.isFinite(value)))
      throw this.bad(`${field} = ${quoted(JSON.stringify(value))} is not a number`);
    return value;
  }

  number(field: string): number {
    const value = this.optionalNumber(field);
    if (value === null) throw this.bad(`${field} is missing`);
    return value;
  }

  boolean(field: string): boolean {
    const value = this.values[field] ?? false;
    if (typeof value !== 'boolean') throw this.bad(`${field} = ${quoted(JSON.stringify(value))} is not true or false`);
    return value;
  }

  /** null for null and absent. */
  object(field: string): Json | null {
    const value = this.values[field] ?? null;
    if (value === null) return null;
    if (typeof value !== 'object' || Array.isArray(value)) throw this.refuse(`${field} is not an object`);
    return value as Json;
  }
}
