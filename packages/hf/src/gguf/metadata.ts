import { ModelError, quoted } from '../errors.js';
import type { GgufValue } from './header.js';

/** Typed look-ups in a GGUF file's metadata; a value of another type is refused by key. */
export class Metadata {
  constructor(
    readonly values: ReadonlyMap<string, GgufValue>,
    readonly file: string,
  ) {}

  private wrong(key: string, wanted: string): ModelError {
    const state = this.values.has(key) ? `is not ${wanted}` : 'is missing';
    return new ModelError('bad_gguf', `metadata ${quoted(key)} ${state}`, { file: this.file });
  }

  number(key: string, fallback?: number): number {
    const value = this.values.get(key) ?? fallback;
    if (typeof value !== 'number' || !Number.isFinite(value)) throw this.wrong(key, 'a number');
    return value;
  }

  /** null when the key is absent. */
  tokenId(key: string): number | null {
    if (!this.values.has(key)) return null;
    const value = this.number(key);
    if (!Number.isInteger(value) || value < 0) throw this.wrong(key, 'a token id');
    return value;
  }

  string(key: string, fallback?: string): string {
    const value = this.values.get(key) ?? fallback;
    if (typeof value !== 'string') throw this.wrong(key, 'a string');
    return value;
  }

  boolean(key: string, fallback: boolean): boolean {
    const value = this.values.get(key) ?? fallback;
    if (typeof value !== 'boolean') throw this.wrong(key, 'a boolean');
    return value;
  }

  strings(key: string): readonly string[] {
    const value = this.values.get(key);
    if (!Array.isArray(value) || !value.every((v) => typeof v === 'string')) throw this.wrong(key, 'a list of strings');
    return value;
  }

  numbers(key: string): readonly number[] {
    const value = this.values.get(key);
    if (!Array.isArray(value) || !value.every((v) => typeof v === 'number')) throw this.wrong(key, 'a list of numbers');
    return value;
  }
}
