/** Prints the curl command of each request before it is made, so that the reader can do the same by hand. */
const quote = (text: string) => (/^[A-Za-z0-9_./:=@-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

/** `curl` lines with the key left as $ROWSMITH_API_KEY: what is printed can be copied, and holds no secret. */
export function curlCommand(
  url: string,
  options: { readonly json?: unknown; readonly form?: readonly string[]; readonly output?: string } = {},
): string {
  const parts = ['curl -s', quote(url), '-H "Authorization: Bearer $ROWSMITH_API_KEY"'];
  if (options.json !== undefined) parts.push("-H 'Content-Type: application/json'", `-d ${quote(JSON.stringify(options.json))}`);
  for (const field of options.form ?? []) parts.push(`-F ${quote(field)}`);
  if (options.output) parts.push(`-o ${quote(options.output)}`);
  return parts.join(' \\\n       ');
}
