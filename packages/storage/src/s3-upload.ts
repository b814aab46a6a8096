/** Bodies of unknown length into an object: in one request when it is small, else in parts, and nothing of it when the body fails. */
import { createHash } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';

/** Held in memory at a time; S3 takes 10,000 parts, so objects up to 160 GB. */
export const partBytes = 16 * 1024 * 1024;

interface Target {
  readonly Bucket: string;
  readonly Key: string;
}
const digest = (algorithm: string, bytes: Uint8Array) => createHash(algorithm).update(bytes).digest('base64');

/** One request. The server checks the hash before it stores anything. */
export async function putWhole(client: S3Client, target: Target, bytes: Uint8Array, condition: { readonly writer?: string } = {}) {
  const { writer } = condition;
  await client.send(
    new PutObjectCommand({
      ...target,
      Body: bytes,
      ContentLength: bytes.byteLength,
      ChecksumSHA256: digest('sha256', bytes),
      ...(writer === undefined ? {} : { IfNoneMatch: '*', Metadata: { writer } }),
    }),
  );
}

/** Returns size and SHA-256 (hex) of what was stored. Throws what the body throws, and what the SDK throws. */
export async function uploadStream(client: S3Client, target: Target, body: AsyncIterable<Uint8Array>) {
  const hash = createHash('sha256');
  let bytes = 0;
  let upload: Multipart | null = null;
  try {
    let last: Uint8Array = new Uint8Array();
    let held = false;
    for await (const part of partsOf(body)) {
      hash.update(part);
      bytes += part.byteLength;
      if (held) {
        upload ??= await Multipart.begin(client, target);
        await upload.add(last);
      }
      last = part;
      held = true;
    }
    if (upload === null) await putWhole(client, target, last);
    else {
      await upload.add(last);
      await upload.complete();
    }
    return { bytes, sha256: hash.digest('hex') };
  } catch (error) {
    await upload?.abort();
    throw error;
  }
}

/** Pieces of exactly `partBytes` but for the last. */
async function* partsOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let waiting: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    let rest = chunk;
    while (size + rest.byteLength >= partBytes) {
      const taken = partBytes - size;
      // A copy: the giver of the chunk may use its memory again.
      yield Buffer.concat([...waiting, rest.subarray(0, taken)]);
      [waiting, size] = [[], 0];
      rest = rest.subarray(taken);
    }
    if (rest.byteLength > 0) {
      waiting.push(Uint8Array.from(rest));
      size += rest.byteLength;
    }
  }
  if (size > 0) yield Buffer.concat(waiting);
}

class Multipart {
  readonly #parts: { PartNumber: number; ETag: string | undefined }[] = [];

  private constructor(
    private readonly client: S3Client,
    private readonly target: Target & { readonly UploadId: string },
  ) {}

  static async begin(client: S3Client, target: Target): Promise<Multipart> {
    const { UploadId } = await client.send(new CreateMultipartUploadCommand(target));
    if (UploadId === undefined) throw new Error('the object store began an upload without an id');
    return new Multipart(client, { ...target, UploadId });
  }

  async add(bytes: Uint8Array): Promise<void> {
    const PartNumber = this.#parts.length + 1;
    // MD5 is the one check of parts that every compatible server makes; the whole is known by its SHA-256.
    const { ETag } = await this.client.send(
      new UploadPartCommand({ ...this.target, PartNumber, Body: bytes, ContentLength: bytes.byteLength, ContentMD5: digest('md5', bytes) }),
    );
    this.#parts.push({ PartNumber, ETag });
  }

  async complete(): Promise<void> {
    await this.client.send(new CompleteMultipartUploadCommand({ ...this.target, MultipartUpload: { Parts: this.#parts } }));
  }

  /** A failure here leaves an unfinished upload, which `sweepUnfinished` removes. */
  async abort(): Promise<void> {
    await this.client.send(new AbortMultipartUploadCommand(this.target)).catch(() => undefined);
  }
}
