/** Bodies that tests send. */
export const chatRow = (answer: string) =>
  JSON.stringify({
    messages: [
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: answer },
    ],
  });
export const examplesJsonl = (n: number) => Array.from({ length: n }, (_, i) => `${chatRow(`answer ${i}`)}\n`).join('');

export interface FormPart {
  readonly name: string;
  readonly content: string;
  readonly filename?: string;
}
const boundary = 'a-boundary-of-ours';

/** A multipart body; without its `tail` it is cut off. */
export function formOf(parts: readonly FormPart[], tail = `--${boundary}--\r\n`) {
  const text = parts.map(({ name, content, filename }) => {
    const file = filename === undefined ? '' : `; filename="${filename.replaceAll('"', '%22')}"`;
    return `--${boundary}\r\ncontent-disposition: form-data; name="${name}"${file}\r\n\r\n${content}\r\n`;
  });
  return { headers: { 'content-type': `multipart/form-data; boundary=${boundary}` }, body: Buffer.from(text.join('') + tail) };
}
