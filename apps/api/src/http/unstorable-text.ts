/** Text that Postgres cannot keep: a NUL character anywhere, or half of a surrogate pair in JSON. Found here it is a 400; there it would be a 500. The same for nesting. */

/** Deeper than anything that is asked for; what walks a body must not run out of stack. */
const maxDepth = 64;

/** Parts of the path to the first such text (a bad key gives that of its object), or to what is nested too deeply; or null. */
export function unstorableText(value: unknown, path: readonly string[] = []): readonly string[] | null {
  if (typeof value === 'string') return /\0|\p{Surrogate}/u.test(value) ? path : null;
  if (typeof value !== 'object' || value === null) return null;
  if (path.length > maxDepth) return path;
  for (const [key, item] of Object.entries(value)) {
    const found = unstorableText(key, path) ?? unstorableText(item, [...path, key]);
    if (found !== null) return found;
  }
  return null;
}
