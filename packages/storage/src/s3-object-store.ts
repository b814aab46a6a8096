/**
 * Objects in a bucket of an S3-compatible store. An object becomes visible when its request, or the completion of its parts, is answered: never half.
 * Every body is sent with a hash that the server checks before it stores.
 */
import { createHash, randomBytes } from 'node:crypto';
import { CreateBucketCommand, DeleteObjectCommand, HeadBucketCommand, HeadObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import type { ObjectStat } from '@rowsmith/core';
import { InvalidKeyError, isTemporaryName, namesOfKey } from './object-key.js';
import type { OpenObjectStore } from './open-object-store.js';
import { openS3Client, type S3Location } from './s3-client.js';
import { download } from './s3-download.js';
import { abortUploads } from './s3-unfinished.js';
import { putWhole, uploadStream } from './s3-upload.js';
import { statusOf, storageError } from './storage-error.js';

const maxConflicts = 20;

export class S3ObjectStore implements OpenObjectStore {
  readonly #client;
  #conditional: Promise<boolean> | null = null;

  constructor(private readonly location: S3Location) {
    this.#client = openS3Client(location);
  }

  /** Makes the bucket when it is missing and we may, and finds out what the server keeps of conditions. */
  async prepare(): Promise<void> {
    const { bucket } = this.location;
    await this.#asked('look for the bucket', async () => {
      try {
        await this.#client.send(new HeadBucketCommand({ Bucket: bucket }));
      } catch (error) {
        if (statusOf(error) !== 404) throw error;
        await this.#client.send(new CreateBucketCommand({ Bucket: bucket })).catch((failure: unknown) => {
          if (!(failure instanceof Error && /^BucketAlready/.test(failure.name))) throw failure;
        });
      }
    });
    await this.conditionalWrites();
  }

  close(): void {
    this.#client.destroy();
  }

  async put(key: string, body: AsyncIterable<Uint8Array> | Uint8Array): Promise<{ readonly sha256: string; readonly bytes: number }> {
    const target = this.#target(key);
    if (!(body instanceof Uint8Array)) {
      let bodyFailed = false;
      const watched = async function* () {
        try {
          yield* body;
        } catch (error) {
          bodyFailed = true;
          throw error;
        }
      };
      // The body's own failure is the caller's, unchanged.
      return uploadStream(this.#client, target, watched()).catch((error: unknown) => {
        throw bodyFailed ? error : storageError(`put ${key}`, error);
      });
    }
    await this.#asked(`put ${key}`, () => putWhole(this.#client, target, body));
    return { bytes: body.byteLength, sha256: createHash('sha256').update(body).digest('hex') };
  }

  /**
   * Where the server proves conditional writes, exactly one of many writers is told 'created'. Where it does not, a look goes before the write: two
   * writers in the same instant may then both write, and the one whose object stayed is told 'created'. Nothing of the service rests on this alone:
   * keys of jobs carry the epoch of their attempt.
   */
  async putIfAbsent(key: string, body: Uint8Array): Promise<'created' | 'exists'> {
    const target = this.#target(key);
    const conditional = await this.conditionalWrites();
    return this.#asked(`put ${key} if absent`, async () => {
      const writer = randomBytes(16).toString('hex');
      if (!conditional && (await this.#writerOf(key)) !== null) return 'exists';
      if (await this.#writeIfAbsent(target, body, writer)) return conditional ? 'created' : this.#outcome(key, writer);
      return this.#outcome(key, writer);
    });
  }

  /** Proved once per store by writing twice: a server that knows no conditions answers the second write with success. */
  conditionalWrites(): Promise<boolean> {
    this.#conditional ??= this.#probe().catch((error: unknown) => {
      this.#conditional = null;
      throw error;
    });
    return this.#conditional;
  }

  async get(key: string, range?: { readonly start: number; readonly end: number }): Promise<AsyncIterable<Uint8Array> | null> {
    const wanted = { ...this.#target(key), start: range?.start ?? 0, end: range?.end ?? null };
    const body = await this.#asked(`get ${key}`, () => download(this.#client, wanted));
    if (body === null) return null;
    return (async function* () {
      try {
        yield* body;
      } catch (error) {
        throw storageError(`get ${key}`, error);
      }
    })();
  }

  async getBytes(key: string): Promise<Uint8Array | null> {
    const body = await this.get(key);
    if (body === null) return null;
    const parts: Uint8Array[] = [];
    for await (const part of body) parts.push(part);
    return Buffer.concat(parts);
  }

  async head(key: string): Promise<ObjectStat | null> {
    const found = await this.#head(key);
    return found && { key, bytes: found.ContentLength ?? 0, modifiedAt: found.LastModified ?? new Date(0) };
  }

  /** In the order of the keys' bytes. `prefix`: '' or whole names, e.g. `jobs/x`. */
  async *list(prefix: string): AsyncIterable<ObjectStat> {
    const folder = prefix.replace(/\/$/, '');
    if (folder !== '') namesOfKey(folder);
    const Prefix = `${this.#inBucket}${folder === '' ? '' : `${folder}/`}`;
    let token: string | undefined;
    do {
      const page = await this.#asked(`list ${prefix}`, () =>
        this.#client.send(
          new ListObjectsV2Command({ Bucket: this.location.bucket, Prefix, ...(token === undefined ? {} : { ContinuationToken: token }) }),
        ),
      );
      for (const { Key, Size, LastModified } of page.Contents ?? [])
        if (Key !== undefined && LastModified !== undefined)
          yield { key: Key.slice(this.#inBucket.length), bytes: Size ?? 0, modifiedAt: LastModified };
      token = page.IsTruncated ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
  }

  async delete(key: string): Promise<void> {
    const target = this.#target(key);
    await this.#asked(`delete ${key}`, async () => {
      await this.#client.send(new DeleteObjectCommand(target)).catch((error: unknown) => {
        if (statusOf(error) !== 404) throw error;
      });
    });
  }

  async now(): Promise<Date> {
    const key = `service/clock-${randomBytes(8).toString('hex')}`;
    await this.put(key, new Uint8Array());
    const written = await this.head(key);
    await this.delete(key);
    if (written === null) throw storageError('read the clock', new Error('the object just written is not there'));
    return written.modifiedAt;
  }

  async sweepUnfinished(olderThanMs: number): Promise<number> {
    const before = (await this.now()).getTime() - olderThanMs;
    const place = { Bucket: this.location.bucket, Prefix: this.#inBucket };
    return this.#asked('sweep unfinished uploads', () => abortUploads(this.#client, place, before));
  }

  get #inBucket(): string {
    return this.location.prefix === '' ? '' : `${this.location.prefix}/`;
  }

  #target(key: string) {
    // The names that the file system keeps for itself are refused here too: a key must mean the same in every store.
    if (namesOfKey(key).some(isTemporaryName)) throw new InvalidKeyError(key);
    return { Bucket: this.location.bucket, Key: `${this.#inBucket}${key}` };
  }

  async #asked<T>(what: string, ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      throw error instanceof InvalidKeyError ? error : storageError(what, error);
    }
  }

  #head(key: string) {
    const target = this.#target(key);
    return this.#asked(`look at ${key}`, async () => {
      try {
        return await this.#client.send(new HeadObjectCommand(target));
      } catch (error) {
        if (statusOf(error) === 404) return null;
        throw error;
      }
    });
  }

  /** '' for an object that was written without a condition. */
  async #writerOf(key: string): Promise<string | null> {
    const found = await this.#head(key);
    return found && (found.Metadata?.['writer'] ?? '');
  }

  /** A success whose answer was lost is tried again and then refused as a second write: the object's own mark tells. */
  async #outcome(key: string, writer: string): Promise<'created' | 'exists'> {
    return (await this.#writerOf(key)) === writer ? 'created' : 'exists';
  }

  async #writeIfAbsent(target: { readonly Bucket: string; readonly Key: string }, body: Uint8Array, writer: string): Promise<boolean> {
    for (let conflicts = 0; ; conflicts++) {
      try {
        await putWhole(this.#client, target, body, { writer });
        return true;
      } catch (error) {
        if (statusOf(error) === 412) return false;
        // Two conditional writes at once: the protocol asks the loser to try again.
        if (statusOf(error) !== 409 || conflicts >= maxConflicts) throw error;
      }
    }
  }

  async #probe(): Promise<boolean> {
    const key = `service/conditions-${randomBytes(8).toString('hex')}`;
    const target = this.#target(key);
    return this.#asked('try conditional writes', async () => {
      const mark = () => randomBytes(4).toString('hex');
      try {
        await this.#writeIfAbsent(target, new Uint8Array(), mark());
        return !(await this.#writeIfAbsent(target, new Uint8Array(), mark()));
      } catch (error) {
        // Honest servers without conditions say so.
        if (statusOf(error) === 501) return false;
        throw error;
      } finally {
        await this.delete(key);
      }
    });
  }
}
