import type { Scope } from '@rowsmith/contracts';

/** Whether a key with the scopes `held` may do what needs `wanted`. Whoever may write may read: the answer to a write shows the object anyway. */
export function covers(held: readonly Scope[], wanted: Scope): boolean {
  return held.some((scope) => {
    if (scope === wanted || scope === 'organization') return true;
    if (wanted === 'organization') return false;
    if (scope === 'admin') return true;
    if (wanted === 'admin') return false;
    if (scope === 'write') return true;
    if (wanted === 'write') return false;
    if (scope === 'read') return wanted.endsWith(':read');
    return scope.endsWith(':write') && wanted === scope.replace(/write$/, 'read');
  });
}
