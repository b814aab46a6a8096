import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';

/** The bytes say gzip, but they are cut off or damaged. */
export class GzipError extends Error {
  override readonly name = 'GzipError';
  readonly code = 'invalid_gzip';
  constructor(cause: unknown) {
    super('the gzip data is cut off or damaged', { cause });
  }
}

export interface Opened {
  readonly compression: 'gzip' | null;
  /** Plain bytes. How many there may be is the reader's to limit: a small file can unpack to a very large one. */
  readonly body: AsyncIterable<Uint8Array>;
}

/** Tells gzip by its first bytes, never by a name, and unpacks it while it is read. Throws GzipError from the body; the source's failures pass through. */
export async function openCompressed(source: AsyncIterable<Uint8Array>): Promise<Opened> {
  const iterator = source[Symbol.asyncIterator]();
  let head: Uint8Array = new Uint8Array();
  while (head.length < 2) {
    const next = await iterator.next();
    if (next.done) break;
    head = head.length === 0 ? next.value : Buffer.concat([head, next.value]);
  }
  const whole: AsyncIterable<Uint8Array> = (async function* () {
    try {
      if (head.length > 0) yield head;
      for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value;
    } finally {
      await iterator.return?.();
    }
  })();
  if (head[0] !== 0x1f || head[1] !== 0x8b) return { compression: null, body: whole };
  return { compression: 'gzip', body: unpacked(whole) };
}

async function* unpacked(packed: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip();
  let sourceFailed = false;
  const guarded = async function* () {
    try {
      yield* packed;
    } catch (error) {
      sourceFailed = true;
      throw error;
    }
  };
  const running = pipeline(Readable.from(guarded(), { objectMode: false }), gunzip);
  // The failure also ends the loop below; awaiting it twice must not leave one of the two unhandled.
  running.catch(() => undefined);
  try {
    for await (const chunk of gunzip) yield chunk as Uint8Array;
    await running;
  } catch (error) {
    throw sourceFailed || !isZlibError(error) ? error : new GzipError(error);
  }
}

const isZlibError = (error: unknown) => /^(Z_|ERR_.*ZLIB)/.test((error as NodeJS.ErrnoException | null)?.code ?? '');
