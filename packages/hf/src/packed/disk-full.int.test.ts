/** A disk that fills while a model is packed, at every second page. That it is full beforehand is seen beforehand. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { folderOn, mountSmallDisk } from '@rowsmith/testkit';
import { afterAll, describe, expect, test } from 'vitest';
import { importGguf } from '../gguf/import-gguf.js';
import { addImported } from './add-model.js';
import { listModels } from './model-store.js';
import { openPackedModel } from './open-packed.js';
import type { Progress } from './write-packed.js';

const gguf = fileURLToPath(new URL('../../fixtures/tiny-llama.gguf', import.meta.url));
/** Packing begins with 64 MiB free only. */
const disk = mountSmallDisk(68 << 20);
afterAll(() => disk?.unmount());

describe.runIf(disk !== null)('on a disk that fills while it is written to', () => {
  if (disk === null) return;
  test('a packed model is there whole or not at all, and the same call works with space', async () => {
    const store = folderOn(disk, 'models');
    const add = async (pages: number) => {
      let filled = false;
      const onProgress = ({ phase }: Progress) => {
        // Past the look at the free space: when the first part of the weights has been written.
        if (phase !== 'packing' || filled) return;
        filled = true;
        disk.leave(pages);
      };
      return addImported(await importGguf(gguf), { store, id: 'tiny', now: () => 1, onProgress });
    };
    let failed = 0;
    for (let pages = 0; ; pages += 2) {
      const error: unknown = await add(pages).then(
        () => null,
        (why: unknown) => why,
      );
      disk.free();
      if (error === null) break;
      failed += 1;
      expect(error).toMatchObject({ code: 'disk', fault: 'infra', message: expect.stringContaining('full') as string });
      expect([await listModels(store), await disk.names()]).toEqual([[], ['models']]);
    }
    expect(failed).toBeGreaterThan(3);
    await (await openPackedModel(join(store, 'tiny'))).verify();
    expect((await disk.names()).filter((name) => name.includes('.tmp'))).toEqual([]);
    expect(existsSync(join(store, 'tiny', 'index.json'))).toBe(true);
  });
});
