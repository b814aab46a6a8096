import { beforeEach, describe, expect, it } from 'vitest';
import { ArenaStack } from './arena.js';
import type { Handle } from './handle.js';

const freed: number[] = [];
let arenas: ArenaStack;
beforeEach(() => {
  freed.length = 0;
  arenas = new ArenaStack((id) => freed.push(id));
});

function make(id: number): Handle {
  arenas.adopt(id);
  return { id, shape: [], dtype: 'f32' };
}

describe('scopes of handles', () => {
  it('free what they own at their end, but not what was kept', () => {
    const kept = arenas.run((keep) => {
      make(1);
      return keep(make(2));
    });
    expect(kept.id).toBe(2);
    expect(freed).toEqual([1]);
  });

  it('hand kept handles to the scope around', () => {
    arenas.run(() => {
      arenas.run((keep) => keep(make(1)));
      expect(freed).toEqual([]);
    });
    expect(freed).toEqual([1]);
  });

  it('free a released handle once', () => {
    arenas.run(() => {
      const outer = make(1);
      arenas.run(() => arenas.release(outer.id));
      expect(freed).toEqual([1]);
    });
    expect(freed).toEqual([1]);
  });

  it('free everything when the body throws, kept handles too', () => {
    expect(() =>
      arenas.run((keep) => {
        keep(make(1));
        make(2);
        throw new Error('fault');
      }),
    ).toThrow('fault');
    expect(freed.sort()).toEqual([1, 2]);
  });

  it('leave a disowned handle and one of an outer scope alone', () => {
    arenas.run(() => {
      const outer = make(1);
      arenas.run((keep) => {
        keep(outer);
        arenas.disown(make(2).id);
      });
      expect(freed).toEqual([]);
    });
    expect(freed).toEqual([1]);
  });
});
