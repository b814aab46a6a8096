/**
 * JSON text of the first member `key` of the object that `text` is; null when none is found up to where `text` stops being one. What follows the member is not
 * read: tokenizer.json has its few special tokens before a vocabulary and merges that take JSON.parse 0.1 s.
 */
export function topLevelMember(text: string, key: string): string | null {
  const name = JSON.stringify(key);
  let at = skipBlanks(text, 0);
  if (text[at] !== '{') return null;
  do {
    const keyStart = skipBlanks(text, at + 1);
    if (text[keyStart] !== '"') return null;
    const keyEnd = afterValue(text, keyStart);
    const colon = skipBlanks(text, keyEnd);
    if (text[colon] !== ':') return null;
    const start = skipBlanks(text, colon + 1);
    const end = afterValue(text, start);
    if (text.slice(keyStart, keyEnd) === name) return text.slice(start, end);
    at = skipBlanks(text, end);
  } while (text[at] === ',');
  return null;
}

const skipBlanks = (text: string, from: number): number => {
  let at = from;
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\r' || text[at] === '\t') at++;
  return at;
};

/** Behind the value at `from`: brackets are only counted, not told apart, since whoever takes the value parses it. */
function afterValue(text: string, from: number): number {
  let depth = 0;
  let at = from;
  while (at < text.length) {
    const character = text[at];
    if (character === '"') at = afterString(text, at);
    else {
      if (character === '{' || character === '[') depth++;
      else if (character === '}' || character === ']') depth--;
      else if (depth === 0 && character === ',') return at;
      if (depth < 0) return at;
      at++;
    }
    if (depth === 0 && (character === '"' || character === '}' || character === ']')) return at;
  }
  return at;
}

function afterString(text: string, from: number): number {
  let at = from + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}
