/** Where files, checkpoints and adapters lie. */
export interface ObjectStat {
  readonly key: string;
  readonly bytes: number;
  /** By the store's own clock; to be compared with `now()` of the store and nothing else. */
  readonly modifiedAt: Date;
}
/** Keys are '/'-separated names of [A-Za-z0-9._-]; anything else throws. Nothing is visible until it is whole. */
export interface ObjectStore {
  /** Streams to `key`; overwrites. Returns what was stored. */
  put(key: string, body: AsyncIterable<Uint8Array> | Uint8Array): Promise<{ readonly sha256: string; readonly bytes: number }>;
  /** 'exists' when another writer was first. */
  putIfAbsent(key: string, body: Uint8Array): Promise<'created' | 'exists'>;
  /** null when there is no such object. `range` is inclusive bytes. */
  get(key: string, range?: { readonly start: number; readonly end: number }): Promise<AsyncIterable<Uint8Array> | null>;
  getBytes(key: string): Promise<Uint8Array | null>;
  head(key: string): Promise<ObjectStat | null>;
  list(prefix: string): AsyncIterable<ObjectStat>;
  /** No error when it is not there. */
  delete(key: string): Promise<void>;
  /** The store's own clock: what it would note as `modifiedAt` of an object written now. */
  now(): Promise<Date>;
  /** Removes what writers that died left half done and is older than `olderThanMs` by the store's clock. Returns how many. */
  sweepUnfinished(olderThanMs: number): Promise<number>;
}
