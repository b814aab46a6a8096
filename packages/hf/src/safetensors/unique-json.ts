const maxDepth = 16;

/**
 * JSON with objects as Maps, where a key that occurs twice is an error: JSON.parse keeps the last one without a word, another reader the
 * first, and then two programs see different tensors. Syntax is checked by JSON.parse first; this only walks text known to be JSON.
 */
export function parseUniqueJson(text: string): unknown {
  JSON.parse(text);
  let at = 0;
  const blank = () => {
    while (at < text.length && ' \t\n\r'.includes(text[at] as string)) at++;
  };
  const string = (): string => {
    const start = at++;
    while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
    return JSON.parse(text.slice(start, ++at)) as string;
  };
  const value = (depth: number): unknown => {
    if (depth > maxDepth) throw new Error(`JSON is nested deeper than ${maxDepth}`);
    blank();
    if (text[at] === '"') return string();
    if (text[at] === '{') {
      const map = new Map<string, unknown>();
      each('}', () => {
        const key = string();
        blank();
        at++;
        if (map.has(key)) throw new Error(`key ${JSON.stringify(key.slice(0, 80))} occurs twice`);
        map.set(key, value(depth + 1));
      });
      return map;
    }
    if (text[at] === '[') {
      const list: unknown[] = [];
      each(']', () => list.push(value(depth + 1)));
      return list;
    }
    const start = at;
    while (at < text.length && !',]} \t\n\r'.includes(text[at] as string)) at++;
    return JSON.parse(text.slice(start, at));
  };
  const each = (close: string, item: () => void) => {
    at++;
    blank();
    while (text[at] !== close) {
      item();
      blank();
      if (text[at] === ',') at++;
      blank();
    }
    at++;
  };
  return value(0);
}
