import type { StorageLocation } from '@rowsmith/contracts';
import type { ObjectStore } from '@rowsmith/core';
import { FsObjectStore } from './fs-object-store.js';

export interface OpenObjectStore extends ObjectStore {
  /** Once before first use by a service: makes folder or bucket if it can, and finds out what the store is able to do. Throws StorageError. */
  prepare(): Promise<void>;
  close(): void;
}

/** The AWS SDK is loaded only where it is needed: it costs some 25 MB and a third of a second. */
export async function openObjectStore(location: StorageLocation): Promise<OpenObjectStore> {
  if (location.driver === 'fs') return new FsObjectStore(location.root);
  const { S3ObjectStore } = await import('./s3-object-store.js');
  return new S3ObjectStore(location);
}
