/** Names no template uses; their values are the marks. */
const open = 'rowsmith_span_open';
const close = 'rowsmith_span_close';

/**
 * transformers' `{% generation %}` ... `{% endgeneration %}` replaced by printed variables, whitespace control kept; null when there are none.
 * The library drops these tags before it lexes, so they must become something that it keeps. The statement keeps its own dashes, the printing
 * stands inside it with dashes of its own, so that trim_blocks and the dashes cut what they would have cut.
 */
export function markGeneration(source: string): { readonly source: string; readonly open: string; readonly close: string } | null {
  let found = false;
  const replaced = source.replace(/\{%(-?)\s*(end)?generation\s*(-?)%\}/g, (_tag, left: string, end: string | undefined, right: string) => {
    found = true;
    return `{%${left} if true %}{{ ${end ? close : open} }}{% endif ${right}%}`;
  });
  return found ? { source: replaced, open, close } : null;
}
