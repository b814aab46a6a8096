/**
 * JSON columns that hold the same text again and again (settings of a job, in every read of it): parsed once while they are asked for. What is shared is frozen.
 * Keyed by the text itself, so it is right whatever other processes write.
 */

/** Texts of a generation; with the one before it that is what is kept. */
const mostTexts = 500;
/** Longer ones are parsed each time. */
const longest = 8_192;

function frozen(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  for (const inner of Object.values(value)) frozen(inner);
  return Object.freeze(value);
}

let newer = new Map<string, unknown>();
let older = new Map<string, unknown>();

/** JSON.parse, with a memory. The result is frozen unless it is long. */
export function parsedJson(text: string): unknown {
  if (text.length > longest) return JSON.parse(text);
  const known = newer.get(text);
  if (known !== undefined) return known;
  const value = older.get(text) ?? frozen(JSON.parse(text));
  if (newer.size >= mostTexts) {
    older = newer;
    newer = new Map();
  }
  newer.set(text, value);
  return value;
}
