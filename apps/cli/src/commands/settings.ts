/** `--set row_sparse.rows=32`: one field of a JSON body by its path. */
import { CliError, exitCodes } from '../exit.js';

export type JsonObject = Readonly<Record<string, unknown>>;
export const isObject = (value: unknown): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value);

/** JSON where it is JSON (32, true, null, ["q_proj"]), else the text itself. Values of metadata are text in the API, whatever they look like. */
function parsed(path: readonly string[], value: string): unknown {
  if (path[0] === 'metadata' && path.length > 1 && value !== 'null') return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

function withValue(object: JsonObject, [name, ...rest]: readonly string[], value: unknown): JsonObject {
  if (name === undefined) return object;
  const inner = object[name];
  return { ...object, [name]: rest.length === 0 ? value : withValue(isObject(inner) ? inner : {}, rest, value) };
}

/** In the order given; a later one wins. */
export function applySettings(body: JsonObject, settings: readonly string[]): JsonObject {
  let result = body;
  for (const setting of settings) {
    const at = setting.indexOf('=');
    const names = setting.slice(0, Math.max(at, 0)).split('.');
    // `__proto__` would be set on the object, not in it.
    if (at < 1 || names.some((name) => !/^[A-Za-z][A-Za-z0-9_-]*$/.test(name)))
      throw new CliError(`--set must be path=value such as row_sparse.rows=32, not "${setting}"`, exitCodes.usage);
    result = withValue(result, names, parsed(names, setting.slice(at + 1)));
  }
  return result;
}
