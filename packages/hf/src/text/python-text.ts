/** str methods as Python has them: what chat templates were written and tested against. */

/** str.isspace() for single characters: unlike JavaScript's \s it holds U+001C-001F and U+0085 and lacks U+FEFF. */
const pythonSpace = new Set(
  '\t\n\v\f\r\u001c\u001d\u001e\u001f \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000',
);

/** str.strip(chars): null strips whitespace. */
export function strip(text: string, sides: 'left' | 'right' | 'both', chars: string | null): string {
  const set = chars === null ? pythonSpace : new Set(chars);
  const points = Array.from(text);
  let start = 0;
  let end = points.length;
  if (sides !== 'right') while (start < end && set.has(points[start] as string)) start++;
  if (sides !== 'left') while (end > start && set.has(points[end - 1] as string)) end--;
  return start === 0 && end === points.length ? text : points.slice(start, end).join('');
}

/** len(): code points, not UTF-16 units. */
export function codePointLength(text: string): number {
  let n = text.length;
  for (let i = 0; i < text.length - 1; i++) {
    const high = text.charCodeAt(i);
    if (high < 0xd800 || high > 0xdbff) continue;
    const low = text.charCodeAt(i + 1);
    if (low >= 0xdc00 && low <= 0xdfff) n--;
  }
  return n;
}

export const capitalize = (text: string) => {
  const [first = '', ...rest] = Array.from(text);
  return first.toUpperCase() + rest.join('').toLowerCase();
};

/** repr() of a string, as printing a list or dict shows it. */
export function repr(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  let out = quote;
  for (const c of text) {
    const code = c.codePointAt(0) as number;
    if (c === '\\' || c === quote) out += `\\${c}`;
    else if (c === '\n') out += '\\n';
    else if (c === '\r') out += '\\r';
    else if (c === '\t') out += '\\t';
    else if (code < 0x20 || (code >= 0x7f && code < 0xa0)) out += `\\x${code.toString(16).padStart(2, '0')}`;
    else out += c;
  }
  return out + quote;
}

/** str.split() without separator: runs of whitespace separate; after `most` splits the rest stays whole, its end included. */
export function splitBlanks(text: string, most: number): string[] {
  const parts: string[] = [];
  let at = 0;
  const skip = (blank: boolean) => {
    while (at < text.length && pythonSpace.has(text[at] as string) === blank) at++;
  };
  for (skip(true); at < text.length; skip(true)) {
    if (parts.length === most) {
      parts.push(text.slice(at));
      break;
    }
    const start = at;
    skip(false);
    parts.push(text.slice(start, at));
  }
  return parts;
}

const lineEnd = new RegExp(`\\r\\n|[${'\n\r\v\f\u001c\u001d\u001e\u0085\u2028\u2029'}]`);
/** str.splitlines(): more characters end a line than \n. */
export function splitLines(text: string): string[] {
  const lines = text.split(lineEnd);
  if (lines.at(-1) === '') lines.pop();
  return lines;
}
