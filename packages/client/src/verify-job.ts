/** The lines of a verification as they come; returns the verdict. */
import type { Verification, VerificationLine, VerificationLink } from '@rowsmith/contracts';
import { requireOk } from './api-error.js';
import type { Http } from './http.js';

async function* linesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string, void, void> {
  const decoder = new TextDecoder();
  let rest = '';
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      const lines = (rest + decoder.decode(value, { stream: !done })).split('\n');
      rest = lines.pop() ?? '';
      yield* lines;
      if (done) break;
    }
    if (rest !== '') yield rest;
  } finally {
    await reader.cancel();
  }
}

/** Throws when the answer ends before its verdict: a chain that was not looked at to its end is not a whole one. */
export async function* verifyJob(
  http: Http,
  id: string,
  { signal }: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<VerificationLink, Verification, void> {
  const response = await requireOk(await http.fetch(`/v1/fine_tuning/jobs/${encodeURIComponent(id)}/verify`, signal ? { signal } : {}));
  if (response.body !== null)
    for await (const text of linesOf(response.body)) {
      const line = JSON.parse(text) as VerificationLine;
      if (line.object === 'fine_tuning.job.verification') return line;
      yield line;
    }
  throw new Error(`the verification of ${id} was cut off before its end; run it again`);
}
