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

function checkModule({ indices, delta, outFeatures, inFeatures }: ModuleRows, refuse: (message: string) => AdapterError): void {
  for (const [what, features] of Object.entries({ out: outFeatures, in: inFeatures }))
    if (!Number.isInteger(features) || features < 1 || features > maxFeatures) throw refuse(`${features} ${what} features are impossible`);
  const rows = indices.length;
  if (rows < 1 || rows > outFeatures) throw refuse(`${rows} rows of a matrix that has ${outFeatures}`);
  if (delta.length !== rows * inFeatures) throw refuse(`delta has ${delta.length} numbers, ${rows} rows of ${inFeatures} are needed`);
  let previous = -1;
  for (const index of indices) {
    if (index < 0 || index >= outFeatures) throw refuse(`row ${index} is outside 0 to ${outFeatures - 1}`);
    if (index === previous) throw refuse(`row ${index} occurs twice`);
    if (index < previous) throw refuse(`row ${index} follows row ${previous}: indices must ascend`);
    previous = index;
  }
  const bad = delta.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) throw refuse(`row ${indices[Math.floor(bad / inFeatures)]}, column ${bad % inFeatures} is ${delta[bad]}`);
}
