/** The bytes of an object, gone on with where a connection broke. */
import { Readable } from 'node:stream';
import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { statusOf } from './storage-error.js';

const maxBreaks = 5;

interface Wanted {
  readonly Bucket: string;
  readonly Key: string;
  readonly start: number;
  /** Inclusive; null = to the end. */
  readonly end: number | null;
}
interface Answer {
  readonly body: Readable;
  readonly bytes: number;
  readonly etag: string | undefined;
}

/** null when there is no such object. A range beyond its end is empty. */
export async function download(client: S3Client, wanted: Wanted): Promise<AsyncIterable<Uint8Array> | null> {
  let answer: Answer;
  try {
    answer = await request(client, wanted, undefined);
  } catch (error) {
    if (statusOf(error) === 404 && !(error instanceof Error && error.name === 'NoSuchBucket')) return null;
    if (statusOf(error) === 416) return Readable.from([]);
    throw error;
  }
  return bytesOf(client, wanted, answer);
}

async function request(client: S3Client, { Bucket, Key, start, end }: Wanted, etag: string | undefined): Promise<Answer> {
  const range = start === 0 && end === null ? {} : { Range: `bytes=${start}-${end ?? ''}` };
  // A replacement between two parts of one reading would mix two objects.
  const got = await client.send(new GetObjectCommand({ Bucket, Key, ...range, ...(etag === undefined ? {} : { IfMatch: etag }) }));
  if (!(got.Body instanceof Readable)) throw new Error('the object store answered without a body');
  return { body: got.Body, bytes: got.ContentLength ?? 0, etag: got.ETag };
}

async function* bytesOf(client: S3Client, wanted: Wanted, first: Answer): AsyncGenerator<Uint8Array> {
  const total = first.bytes;
  let done = 0;
  let answer = first;
  for (let breaks = 0; ; ) {
    const { body } = answer;
    try {
      for await (const chunk of body as AsyncIterable<Uint8Array>) {
        done += chunk.byteLength;
        yield chunk;
      }
      if (done === total) return;
      throw new Error(`the object store ended ${wanted.Key} after ${done} of ${total} bytes`);
    } catch (error) {
      if (++breaks > maxBreaks || done >= total) throw error;
      answer = await request(client, { ...wanted, start: wanted.start + done, end: wanted.start + total - 1 }, first.etag);
    } finally {
      body.destroy();
    }
  }
}
