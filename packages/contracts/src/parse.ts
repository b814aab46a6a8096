import type { Static, TSchema } from 'typebox';
import { Value } from 'typebox/value';

/** A value from outside (IPC, queue, disk, environment) did not have the shape that `where` expects. */
export class ContractError extends Error {
  override readonly name = 'ContractError';
  constructor(
    readonly where: string,
    readonly faults: readonly { path: string; message: string }[],
  ) {
    super(`${where}: ${faults.map((f) => `${f.path || '/'} ${f.message}`).join('; ')}`);
  }
}

/** Checks `value` against `schema`; throws ContractError that names every fault. Nothing is coerced or dropped. */
export function parseAs<T extends TSchema>(schema: T, value: unknown, where: string): Static<T> {
  if (Value.Check(schema, value)) return value as Static<T>;
  const faults = Value.Errors(schema, value).map((e) => ({ path: e.instancePath, message: e.message }));
  throw new ContractError(where, faults.slice(0, 20));
}

/** JSON with keys sorted at every depth: the form that hashes are taken over. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, v: unknown) =>
    v !== null && typeof v === 'object' && !Array.isArray(v)
      ? Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
      : v,
  );
}
