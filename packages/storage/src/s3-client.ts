import { S3Client } from '@aws-sdk/client-s3';
import type { StorageLocation } from '@rowsmith/contracts';

export type S3Location = Extract<StorageLocation, { driver: 's3' }>;

/**
 * Credentials come from where the SDK looks for them: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or the role of the machine.
 * Checksums are ours (SHA-256 and MD5 headers over whole bodies): the SDK's default sends trailers that several compatible servers store as content.
 */
export function openS3Client({ region, endpoint }: S3Location): S3Client {
  return new S3Client({
    region,
    ...(endpoint === null ? {} : { endpoint, forcePathStyle: true }),
    maxAttempts: 5,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // Without limits a store that swallows packets is waited for without end. Silence, not duration: a slow transfer goes on as long as bytes come.
    requestHandler: { connectionTimeout: 5_000, socketTimeout: 20_000 },
  });
}
