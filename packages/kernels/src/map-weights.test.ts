import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type OpCaller, openOpCaller, values } from './op-caller.js';

let ops: OpCaller;
const folder = mkdtempSync(join(tmpdir(), 'rowsmith-map-'));
const path = join(folder, 'weights.bin');
const weights = values(4096, 1);
beforeAll(async () => {
  ops = await openOpCaller();
  writeFileSync(path, new Uint8Array(weights.buffer));
});
afterAll(() => rmSync(folder, { recursive: true }));

const attributes = (at: { path?: string; offset?: number; rows?: number; columns?: number }) => [
  { name: 'path', type: ops.binding.TF_ATTR_STRING, value: at.path ?? path },
  { name: 'offset', type: ops.binding.TF_ATTR_INT, value: at.offset ?? 4096 },
  { name: 'rows', type: ops.binding.TF_ATTR_INT, value: at.rows ?? 16 },
  { name: 'columns', type: ops.binding.TF_ATTR_INT, value: at.columns ?? 64 },
];
const map = (at: Parameters<typeof attributes>[0]) => {
  const [tensor] = ops.binding.executeOp('RowsmithMapWeights', attributes(at), [], 1);
  if (!tensor) throw new Error('no output');
  return tensor;
};

test('a part of the file is a tensor; rows written in place stay in this process', () => {
  const before = createHash('sha256').update(readFileSync(path)).digest('hex');
  const tensor = map({});
  expect(tensor.shape).toEqual([16, 64]);
  expect(ops.binding.tensorDataSync(tensor.id)).toEqual(weights.subarray(1024, 2048));
  const rows = ops.binding.createTensor([1], ops.binding.TF_INT32, new Int32Array([3]));
  const news = ops.binding.createTensor([1, 64], ops.binding.TF_FLOAT, new Float32Array(64).fill(7));
  for (const t of ops.binding.executeOp('InplaceUpdate', [], [tensor.id, rows, news], 1)) ops.binding.deleteTensor(t.id);
  const changed = ops.binding.tensorDataSync(tensor.id);
  expect(changed.subarray(3 * 64, 4 * 64)).toEqual(new Float32Array(64).fill(7));
  expect(changed.subarray(0, 3 * 64)).toEqual(weights.subarray(1024, 1024 + 3 * 64));
  for (const id of [tensor.id, rows, news]) ops.binding.deleteTensor(id);
  expect(createHash('sha256').update(readFileSync(path)).digest('hex')).toBe(before);
  const fresh = map({ columns: 0, rows: 10 });
  expect(fresh.shape).toEqual([10]);
  ops.binding.deleteTensor(fresh.id);
});

test('what cannot be mapped is refused by name and leaks nothing', () => {
  const handles = ops.handles();
  expect(() => map({ rows: 10_000 })).toThrow(/shorter than its index says/);
  expect(() => map({ offset: 100 })).toThrow(/multiple of the page size/);
  expect(() => map({ path: join(folder, 'none') })).toThrow(/cannot open .*No such file/);
  expect(ops.handles()).toBe(handles);
});
