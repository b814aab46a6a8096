import type { Handle } from './handle.js';

/**
 * Nested scopes of handles. A handle belongs to the scope that was innermost when it was made; a scope's end frees what it owns.
 * Outside every scope a handle is the caller's, who must release it.
 */
export class ArenaStack {
  readonly #scopes: Set<number>[] = [];

  constructor(private readonly free: (id: number) => void) {}

  adopt(id: number): void {
    this.#scopes.at(-1)?.add(id);
  }

  /** Before its scope ends; for the large ones. */
  release(id: number): void {
    for (let i = this.#scopes.length - 1; i >= 0; i--) if (this.#scopes[i]?.delete(id)) break;
    this.free(id);
  }

  /** Takes a handle out of its scope for good: it lives until `release`. */
  disown(id: number): void {
    for (const scope of this.#scopes) scope.delete(id);
  }

  /** Runs `body`; frees what was made in it, except what it passed to `keep`, which goes to the scope around (or to the caller). */
  run<T>(body: (keep: <H extends Handle>(handle: H) => H) => T): T {
    const own = new Set<number>();
    const kept: number[] = [];
    this.#scopes.push(own);
    try {
      return body((handle) => {
        if (own.delete(handle.id)) kept.push(handle.id);
        return handle;
      });
    } catch (error) {
      for (const id of kept.splice(0)) own.add(id);
      throw error;
    } finally {
      this.#scopes.pop();
      for (const id of own) this.free(id);
      for (const id of kept) this.adopt(id);
    }
  }
}
