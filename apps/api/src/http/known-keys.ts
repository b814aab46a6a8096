/**
 * Keys that were looked up a moment ago: without this every request begins with a query. What this process does to keys and projects counts at once; what
 * another one does (revoked there, expired, archived) counts after `maxAgeMs`. Keys that are not there are never remembered.
 */
import type { ApiKeyStore, AuthenticatedKey, ProjectStore } from '@rowsmith/core';

export const keyAgeMs = 1_000;
/** Beyond it all are forgotten: one more query each. */
const mostKeys = 10_000;

interface Seen {
  readonly key: Promise<AuthenticatedKey | null>;
  readonly at: number;
}

export class KnownKeys {
  readonly keys: ApiKeyStore;
  readonly projects: ProjectStore;
  readonly #seen = new Map<string, Seen>();

  constructor(
    keys: ApiKeyStore,
    projects: ProjectStore,
    private readonly now: () => number = () => performance.now(),
    private readonly maxAgeMs = keyAgeMs,
  ) {
    const forgetAfter = async <T>(change: Promise<T>): Promise<T> => {
      try {
        return await change;
      } finally {
        this.#seen.clear();
      }
    };
    this.keys = {
      ...keys,
      findByHash: (hash) => this.#find(keys, hash),
      revoke: (...of) => forgetAfter(keys.revoke(...of)),
      rotate: (...of) => forgetAfter(keys.rotate(...of)),
    };
    this.projects = {
      ...projects,
      update: (...of) => forgetAfter(projects.update(...of)),
      archive: (...of) => forgetAfter(projects.archive(...of)),
    };
  }

  #find(keys: ApiKeyStore, hash: string): Promise<AuthenticatedKey | null> {
    const seen = this.#seen.get(hash);
    if (seen !== undefined && this.now() - seen.at < this.maxAgeMs) return seen.key;
    if (this.#seen.size >= mostKeys) this.#seen.clear();
    // Requests that come while it is looked up wait for the same answer.
    const fresh: Seen = { key: keys.findByHash(hash), at: this.now() };
    this.#seen.set(hash, fresh);
    const forget = () => {
      if (this.#seen.get(hash) === fresh) this.#seen.delete(hash);
    };
    fresh.key.then((key) => key ?? forget(), forget);
    return fresh.key;
  }
}
