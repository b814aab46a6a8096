import type { ModuleRows, RowDelta } from '@rowsmith/contracts';
import { AdapterError } from './errors.js';

/** Module names become keys of files and of other programs' dictionaries. */
const modulePattern = /^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*$/;
const maxFeatures = 2 ** 26;

/** Throws AdapterError `bad_rows` for the first module whose rows could not be added to a matrix of [out, in]. */
export function checkRowDelta(delta: RowDelta, file: string): void {
  if (delta.size === 0) throw new AdapterError('bad_rows', `${file}: holds no module`);
  for (const [name, rows] of delta) {
    const refuse = (message: string) => new AdapterError('bad_rows', `${file}: ${JSON.stringify(name.slice(0, 120))}: ${message}`);
    if (!modulePattern.test(name)) throw refuse('is not the name of a module');
    checkModule(rows, refuse);
  }
}

type Refuse = (message: string) => AdapterError;

function checkModule(rows: ModuleRows, refuse: Refuse): void {
  const { indices, delta, columns, columnDelta, outFeatures, inFeatures } = rows;
  for (const [what, features] of Object.entries({ out: outFeatures, in: inFeatures }))
    if (!Number.isInteger(features) || features < 1 || features > maxFeatures) throw refuse(`${features} ${what} features are impossible`);
  if (rows.biasDelta !== undefined) {
    if (rows.biasDelta.length !== indices.length)
      throw refuse(`${rows.biasDelta.length} updates of bias entries, ${indices.length} rows are trained`);
    const bad = rows.biasDelta.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) throw refuse(`the bias of row ${indices[bad]} is ${rows.biasDelta[bad]}`);
  }
  // A module has rows, columns or both.
  if (columns === undefined || indices.length > 0 || delta.length > 0)
    checkPart({ what: 'row', across: 'column', indices, delta, available: outFeatures, width: inFeatures }, refuse);
  if (columns === undefined && columnDelta === undefined) return;
  const [chosen, update] = [columns ?? new Int32Array(0), columnDelta ?? new Float32Array(0)];
  checkPart({ what: 'column', across: 'row', indices: chosen, delta: update, available: inFeatures, width: outFeatures }, refuse);
}

interface Part {
  readonly what: 'row' | 'column';
  readonly across: 'row' | 'column';
  readonly indices: Int32Array;
  readonly delta: Float32Array;
  readonly available: number;
  readonly width: number;
}

function checkPart({ what, across, indices, delta, available, width }: Part, refuse: Refuse): void {
  const count = indices.length;
  if (count < 1 || count > available) throw refuse(`${count} ${what}s of a matrix that has ${available}`);
  if (delta.length !== count * width) throw refuse(`delta has ${delta.length} numbers, ${count} ${what}s of ${width} are needed`);
  let previous = -1;
  for (const index of indices) {
    if (index < 0 || index >= available) throw refuse(`${what} ${index} is outside 0 to ${available - 1}`);
    if (index === previous) throw refuse(`${what} ${index} occurs twice`);
    if (index < previous) throw refuse(`${what} ${index} follows ${what} ${previous}: indices must ascend`);
    previous = index;
  }
  const bad = delta.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) throw refuse(`${what} ${indices[Math.floor(bad / width)]}, ${across} ${bad % width} is ${delta[bad]}`);
}
