/** Published, found again, deleted in the right order: on a real object store, with a state of a few numbers. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CheckpointState, FromTrainer, TrainerStart } from '@rowsmith/contracts';
import type { LinearInfo } from '@rowsmith/engine';
import { FsObjectStore } from '@rowsmith/storage';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Binding } from './checkpoint-manifest.js';
import { Checkpoints } from './checkpoints.js';
import { findCheckpoint } from './resume.js';

const linear = (name: string, target: LinearInfo['target'], outFeatures: number, inFeatures: number): LinearInfo => ({
  ...{ name, target, outFeatures, inFeatures },
  ...{ layer: 0, tensor: 'layers.0.x', rowOffset: 0 },
});
const linears = [linear('m.q', 'q_proj', 4, 2), linear('m.up', 'up_proj', 6, 2), linear('m.down', 'down_proj', 4, 3)];
const binding: Binding = {
  job_id: 'ftjob-1',
  config_sha256: 'c'.repeat(64),
  base_sha256: 'b'.repeat(64),
  data_sha256: 'd'.repeat(64),
  operators: 'stock',
};
/** q's row 3 with its bias and column 1, down's columns 0 and 2: width 2 holds q's row; width 4 q's column, then down's two. */
function stateWithColumns(step: number): CheckpointState {
  const buffer = (rows: number, width: number, seed: number) => ({
    shape: [rows, width],
    data: Float32Array.from({ length: rows * width }, (_, i) => Math.cos(seed * step + i)),
  });
  return {
    step,
    buffers: new Map([
      ['delta.2', buffer(1, 2, 1)],
      ['delta.4', buffer(3, 4, 2)],
      ['delta.1', buffer(1, 1, 5)],
      ['adam_m.2', buffer(1, 2, 3)],
      ['adam_m.4', buffer(3, 4, 4)],
      ['adam_m.1', buffer(1, 1, 6)],
    ]),
    indices: new Map([['m.q', Int32Array.of(3)]]),
    biases: ['m.q'],
    columns: new Map([
      ['m.q', Int32Array.of(1)],
      ['m.down', Int32Array.of(0, 2)],
    ]),
    cursor: { epoch: 0, position: step },
  };
}
function stateOf(step: number): CheckpointState {
  const buffer = (rows: number, width: number, seed: number) => ({
    shape: [rows, width],
    data: Float32Array.from({ length: rows * width }, (_, i) => Math.sin(seed * step + i)),
  });
  return {
    step,
    // Stacks of width 2 hold q's row, then up's two; width 3 holds down's.
    buffers: new Map([
      ['delta.2', buffer(3, 2, 1)],
      ['delta.3', buffer(1, 3, 2)],
      ['adam_m.2', buffer(3, 2, 3)],
      ['adam_m.3', buffer(1, 3, 4)],
    ]),
    indices: new Map([
      ['m.q', Int32Array.of(3)],
      ['m.up', Int32Array.of(0, 5)],
      ['m.down', Int32Array.of(1)],
    ]),
    cursor: { epoch: 0, position: step },
  };
}

type Ref = TrainerStart['resume_from'][number];
let dir = '';
let store: FsObjectStore;
let sent: Ref[];
/** What was said to be deleted, and what was there then. */
let removed: (readonly [string, readonly string[]])[];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'rowsmith-checkpoints-'));
  store = new FsObjectStore(join(dir, 'objects'));
  sent = [];
  removed = [];
});
afterEach(() => rm(dir, { recursive: true }));

const checkpoints = (
  keep: number,
  changes: {
    readonly epoch?: number;
    readonly earlier?: readonly Ref[];
    readonly bestStep?: number;
    readonly everyMs?: number;
    readonly wanted?: () => number | null;
  } = {},
) =>
  new Checkpoints({
    ...{ store, binding, threads: 2, linears, keep, everyMs: changes.everyMs ?? 0, clock: () => 0 },
    wanted: changes.wanted ?? (() => null),
    epoch: changes.epoch ?? 1,
    folder: `jobs/ftjob-1/e${changes.epoch ?? 1}`,
    earlier: changes.earlier ?? [],
    bestStep: changes.bestStep ?? null,
    send: async (message: FromTrainer) => {
      if (message.type === 'checkpoint') sent.unshift({ ...message, step: message.step });
      if (message.type === 'checkpoint_removed') removed.push([message.manifest_key, await keys()]);
    },
  });
const find = (refs: readonly Ref[], as: Binding = binding) => findCheckpoint(store, refs, as, linears, dir);
async function keys(): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of store.list('jobs/')) found.push(key.replace('jobs/ftjob-1/', ''));
  return found.sort();
}
const filesOf = (folder: string) => ['manifest.json', 'optimizer.safetensors', 'rows.safetensors'].map((name) => `${folder}/${name}`);
const manifestOf = async ({ manifest_key }: Ref) => JSON.parse(Buffer.from((await store.getBytes(manifest_key)) as Uint8Array).toString());

describe('checkpoints', () => {
  it('give back the state that was written, bit for bit', async () => {
    await checkpoints(3).write(stateOf(5), { step: 5 });
    const found = await find(sent);
    expect(found.state).toEqual(stateOf(5));
    expect(found.rejected).toEqual([]);
  });

  it('give back columns and biases too', async () => {
    await checkpoints(3).write(stateWithColumns(5), { step: 5 });
    expect((await find(sent)).state).toEqual(stateWithColumns(5));
  });

  it('name their predecessor, over attempts too', async () => {
    const first = checkpoints(9);
    await first.write(stateOf(1), { step: 1 });
    await first.write(stateOf(2), { step: 2 });
    await checkpoints(9, { epoch: 2, earlier: sent }).write(stateOf(3), { step: 3 });
    const [third, second, one] = sent as [Ref, Ref, Ref];
    expect((await manifestOf(one)).previous_sha256).toBeNull();
    expect((await manifestOf(second)).previous_sha256).toBe(one.manifest_sha256);
    expect(await manifestOf(third)).toMatchObject({ previous_sha256: second.manifest_sha256, epoch: 2, operators: 'stock', threads: 2 });
  });

  it('are not written twice for one step', async () => {
    const writer = checkpoints(3);
    await writer.write(stateOf(1), { step: 1 });
    await writer.write(stateOf(1), { step: 1 });
    expect(sent).toHaveLength(1);
  });

  it('go only when newer ones are recorded, those of earlier attempts first', async () => {
    const first = checkpoints(2);
    await first.write(stateOf(1), { step: 1 });
    await first.write(stateOf(2), { step: 2 });
    const second = checkpoints(2, { epoch: 2, earlier: sent });
    await second.write(stateOf(3), { step: 3 });
    expect(await keys()).toEqual([...filesOf('e1/checkpoint-1'), ...filesOf('e1/checkpoint-2'), ...filesOf('e2/checkpoint-3')]);
    await second.recorded((sent[0] as Ref).manifest_key);
    expect(await keys()).toEqual([...filesOf('e1/checkpoint-2'), ...filesOf('e2/checkpoint-3')]);
    // Told when it is true, and once.
    expect(removed).toEqual([[(sent[2] as Ref).manifest_key, await keys()]]);
  });
});

describe('a checkpoint that is asked for', () => {
  it('is due once, after its step or the first later one, whatever the time', async () => {
    let wanted: number | null = null;
    const writer = checkpoints(9, { everyMs: 3_600_000, wanted: () => wanted });
    expect(writer.due(4)).toBe(false);
    wanted = 4;
    expect([writer.due(3), writer.due(4), writer.due(5)]).toEqual([false, true, true]);
    await writer.write(stateOf(5), { step: 5 });
    expect(writer.due(6)).toBe(false);
    wanted = 6;
    expect(writer.due(6)).toBe(true);
  });

  it('is there already where the attempt goes on from it, and before the first step stands for the first', async () => {
    await checkpoints(9).write(stateOf(4), { step: 4 });
    const everyMs = 3_600_000;
    expect(checkpoints(9, { epoch: 2, earlier: sent, everyMs, wanted: () => 4 }).due(5)).toBe(false);
    expect(checkpoints(9, { everyMs, wanted: () => 0 }).due(1)).toBe(true);
  });
});

describe('the best checkpoint', () => {
  const publish = async (writer: Checkpoints, step: number, best = false) => {
    const [before] = sent;
    await writer.write(stateOf(step), { step }, best);
    if (sent[0] && sent[0] !== before) await writer.recorded(sent[0].manifest_key);
  };
  const steps = async () => (await keys()).filter((key) => key.endsWith('manifest.json')).map((key) => key.split('/').at(-2));

  it('stays on top of the newest until the tables hold a better one', async () => {
    const writer = checkpoints(1);
    await publish(writer, 1, true);
    for (const step of [2, 3]) await publish(writer, step);
    expect(await steps()).toEqual(['checkpoint-1', 'checkpoint-3']);
    await writer.write(stateOf(4), { step: 4 }, true);
    expect(await steps()).toEqual(['checkpoint-1', 'checkpoint-3', 'checkpoint-4']);
    await writer.recorded((sent[0] as Ref).manifest_key);
    await publish(writer, 5);
    expect(await steps()).toEqual(['checkpoint-4', 'checkpoint-5']);
    expect(writer.of(4)).toEqual([expect.objectContaining({ step: 4 })]);
    expect(writer.of(3)).toEqual([]);
  });

  it('of an earlier attempt stays too; a step that is saved already can become the best', async () => {
    const first = checkpoints(9);
    for (const step of [1, 2, 3]) await publish(first, step);
    const second = checkpoints(1, { epoch: 2, earlier: sent, bestStep: 1 });
    await publish(second, 4);
    expect(await steps()).toEqual(['checkpoint-1', 'checkpoint-4']);
    await second.write(stateOf(4), { step: 4 }, true);
    await publish(second, 5);
    expect(await steps()).toEqual(['checkpoint-4', 'checkpoint-5']);
  });

  it('lost: where the adapter is to be the best, a checkpoint that needs it is passed by for an older one', async () => {
    const writer = checkpoints(9);
    await publish(writer, 1);
    await publish(writer, 2, true);
    await writer.write({ ...stateOf(3), cursor: { ...stateOf(3).cursor, best_step: 2 } }, { step: 3 });
    const seek = (needsBest: boolean) => findCheckpoint(store, sent, binding, linears, dir, needsBest);
    expect(await seek(true).then(({ from, rejected }) => [from?.step, rejected])).toEqual([3, []]);
    await store.delete(`${(sent[1] as Ref).manifest_key}`);
    const found = await seek(true);
    expect(found.from?.step).toBe(1);
    expect(found.rejected.map(({ reason }) => reason)).toEqual([
      'the best checkpoint before it, of step 2, cannot be used: its manifest is missing',
      'its manifest is missing',
    ]);
    expect((await seek(false)).from?.step).toBe(3);
  });
});

describe('a checkpoint is passed by', () => {
  beforeEach(async () => {
    const writer = checkpoints(9);
    await writer.write(stateOf(1), { step: 1 });
    await writer.write(stateOf(2), { step: 2 });
  });

  it.each<[keyof Binding, Binding[keyof Binding]]>([
    ['job_id', 'ftjob-2'],
    ['config_sha256', 'e'.repeat(64)],
    ['base_sha256', 'e'.repeat(64)],
    ['data_sha256', 'e'.repeat(64)],
    ['operators', 'fused'],
  ])('when it has another %s', async (name, value) => {
    const { state, rejected } = await find(sent, { ...binding, [name]: value });
    expect(state).toBeNull();
    expect(rejected.every(({ damaged }) => !damaged)).toBe(true);
    expect(rejected.map(({ reason }) => reason)).toEqual([expect.stringContaining(String(value)), expect.stringContaining(String(value))]);
  });

  it.each([
    ['manifest.json', /manifest is missing/],
    ['rows.safetensors', /is not in the object store/],
    ['optimizer.safetensors', /is not in the object store/],
  ])('when its %s is gone', async (name, reason) => {
    await store.delete(`jobs/ftjob-1/e1/checkpoint-2/${name}`);
    const { state, rejected, from, older } = await find(sent);
    expect(state).toEqual(stateOf(1));
    expect([from, older]).toEqual([sent[1], []]);
    expect(rejected).toEqual([{ manifest_key: (sent[0] as Ref).manifest_key, reason: expect.stringMatching(reason), damaged: true }]);
  });

  it('whatever bit of it is wrong, cut short or empty: 1,000 places', { timeout: 60_000 }, async () => {
    const folder = join(dir, 'objects/jobs/ftjob-1/e1/checkpoint-2');
    const files = await Promise.all(
      ['manifest.json', 'rows.safetensors', 'optimizer.safetensors'].map(async (name) => ({
        name,
        bytes: await readFile(join(folder, name)),
      })),
    );
    const bits = files.reduce((sum, { bytes }) => sum + 8 * bytes.byteLength, 0);
    const newest = sent.slice(0, 1);
    const accepted: string[] = [];
    const tryWith = async (name: string, damaged: Uint8Array, what: string) => {
      await writeFile(join(folder, name), damaged);
      const { state, rejected } = await find(newest);
      if (state !== null || rejected[0]?.damaged !== true) accepted.push(`${name}: ${what}`);
    };
    for (let i = 0; i < 1_000; i++) {
      let bit = Math.floor((i * bits) / 1_000);
      const file = files.find(({ bytes }) => {
        const inside = bit < 8 * bytes.byteLength;
        if (!inside) bit -= 8 * bytes.byteLength;
        return inside;
      });
      if (file === undefined) throw new Error(`bit ${bit} is in no file`);
      const damaged = Buffer.from(file.bytes);
      damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
      await tryWith(file.name, damaged, `bit ${bit}`);
      await writeFile(join(folder, file.name), file.bytes);
    }
    for (const { name, bytes } of files) {
      for (const length of [0, 1, 8, bytes.byteLength >> 1, bytes.byteLength - 1])
        await tryWith(name, bytes.subarray(0, length), `${length} bytes`);
      await writeFile(join(folder, name), bytes);
    }
    expect(accepted).toEqual([]);
    // What was put back is whole: it was the damage that was seen.
    expect((await find(newest)).state).toEqual(stateOf(2));
  });
});
