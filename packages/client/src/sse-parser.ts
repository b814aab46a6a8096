/** Server-sent events out of a byte stream (the event stream format of the HTML standard). Comments and unknown fields are dropped. */
export interface ServerSentEvent {
  readonly id: string | null;
  readonly event: string;
  readonly data: string;
  readonly retryMs: number | null;
}

export async function* parseServerSentEvents(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<ServerSentEvent> {
  const decoder = new TextDecoder();
  let rest = '';
  let id: string | null = null;
  let event = 'message';
  let retryMs: number | null = null;
  let data: string[] = [];
  for await (const chunk of bytes) {
    rest += decoder.decode(chunk, { stream: true });
    // A chunk may end between the two characters of a CRLF: a last \r waits for what follows.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0 || retryMs !== null) yield { id, event, data: data.join('\n'), retryMs };
        id = null;
        event = 'message';
        retryMs = null;
        data = [];
        continue;
      }
      const colon = line.indexOf(':');
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
      if (field === 'data') data.push(value);
      else if (field === 'id') id = value;
      else if (field === 'event') event = value;
      else if (field === 'retry' && /^\d+$/.test(value)) retryMs = Number(value);
    }
  }
  // What is left without an empty line behind it was cut off: it will come again after the reconnect.
}
