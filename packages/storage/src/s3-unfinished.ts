/** Uploads in parts that nobody will complete: their writer died. */
import { AbortMultipartUploadCommand, ListMultipartUploadsCommand, type S3Client } from '@aws-sdk/client-s3';

interface ListedUploads {
  readonly Uploads?:
    | readonly {
        readonly Key?: string | undefined;
        readonly UploadId?: string | undefined;
        readonly Initiated?: Date | undefined;
      }[]
    | undefined;
  readonly IsTruncated?: boolean | undefined;
  readonly NextKeyMarker?: string | undefined;
  readonly NextUploadIdMarker?: string | undefined;
}

/** Aborts those that began before `before` (milliseconds since 1970, by the store's clock). Returns how many. */
export async function abortUploads(
  client: S3Client,
  place: { readonly Bucket: string; readonly Prefix: string },
  before: number,
): Promise<number> {
  let aborted = 0;
  let marker: { KeyMarker?: string; UploadIdMarker?: string } | null = {};
  while (marker !== null) {
    const page: ListedUploads = await client.send(new ListMultipartUploadsCommand({ ...place, ...marker }));
    for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
      if (Key === undefined || UploadId === undefined || Initiated === undefined || Initiated.getTime() > before) continue;
      await client.send(new AbortMultipartUploadCommand({ Bucket: place.Bucket, Key, UploadId }));
      aborted += 1;
    }
    marker =
      page.IsTruncated && page.NextKeyMarker !== undefined
        ? { KeyMarker: page.NextKeyMarker, ...(page.NextUploadIdMarker ? { UploadIdMarker: page.NextUploadIdMarker } : {}) }
        : null;
  }
  return aborted;
}
